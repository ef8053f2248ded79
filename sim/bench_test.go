package sim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone/sim"
)

// BenchmarkAPNs sends alerts over connections that keep 200 streams in flight.
// Client and simulator share the cores.
func BenchmarkAPNs(b *testing.B) {
	for _, conns := range []int{1, 2} {
		b.Run(fmt.Sprintf("connections=%d", conns), func(b *testing.B) {
			l := start(b, sim.Options{})
			tokens := make([]string, 1000)
			for i := range tokens {
				tokens[i] = l.add(fmt.Sprintf("phone-%d", i), "ios").Token
			}
			l.ok(nil, "DELETE", "/sim/stats", "")
			wires := make([]*wire, conns)
			for i := range wires {
				wires[i] = l.dial()
				wires[i].status(wires[i].push(l, tokens[0])) // lifts the stream limit
			}
			b.ResetTimer()
			var all sync.WaitGroup
			for _, w := range wires {
				all.Go(func() { w.flood(l, tokens, b.N/conns+1) })
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			if got := l.stats()["apns"]; got.Refused > 0 {
				b.Errorf("refused: %v", got.ByReason)
			}
		})
	}
}

// flood sends n alerts and reads their answers.
func (w *wire) flood(l *lab, tokens []string, n int) {
	room := make(chan struct{}, 200)
	var reading sync.WaitGroup
	reading.Go(func() {
		for done := 0; done < n; {
			frame, err := w.fr.ReadFrame()
			if err != nil {
				w.t.Errorf("after %d answers: %v", done, err)
				return
			}
			if f, is := frame.(*http2.MetaHeadersFrame); is && f.StreamEnded() {
				done++
				<-room
			}
		}
	})
	var out bytes.Buffer
	fr := http2.NewFramer(&out, nil)
	for i := range n {
		select {
		case room <- struct{}{}:
		default: // full: send what there is before waiting
			_, _ = w.conn.Write(out.Bytes())
			out.Reset()
			room <- struct{}{}
		}
		_ = fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: w.next, BlockFragment: w.block(l.pushHeaders(tokens[i%len(tokens)])...), EndHeaders: true,
		})
		_ = fr.WriteData(w.next, true, []byte(hello))
		w.next += 2
	}
	_, _ = w.conn.Write(out.Bytes())
	reading.Wait()
}

// BenchmarkFCM sends messages over 64 HTTP/1.1 connections of net/http.
func BenchmarkFCM(b *testing.B) {
	l := start(b, sim.Options{})
	token := l.add("ana", "android").Token
	access := l.access()
	body := fmt.Appendf(nil, `{"message":{"token":%q,"notification":{"title":"Hi","body":"hello"},"data":{"id":"1"},"android":{"priority":"HIGH","ttl":"3600s"}}}`, token)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				r, _ := http.NewRequest(http.MethodPost, "http://"+l.addr+"/v1/projects/diaphone-sim/messages:send", bytes.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+access)
				r.Header.Set("Content-Type", "application/json")
				res, err := client.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				var answer struct{ Name string }
				if json.NewDecoder(res.Body).Decode(&answer) != nil || answer.Name == "" {
					b.Errorf("status %d", res.StatusCode)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
