package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/diaphone-dev/diaphone/sim"
)

func TestStreamLimit(t *testing.T) {
	b := start(t, sim.Options{MaxStreams: 3})
	ana := b.add("ana", "ios")
	w := b.dial()
	first := until(w, func(f *http2.SettingsFrame) bool { return !f.IsAck() })
	if n, _ := streamLimit(first); n != 1 {
		t.Errorf("the limit of a new connection is %d", n)
	}
	for id, want := range map[http2.SettingID]uint32{
		http2.SettingHeaderTableSize: 4096, http2.SettingMaxHeaderListSize: 8000,
	} {
		if got, _ := first.Value(id); got != want {
			t.Errorf("%v is %d, not %d", id, got, want)
		}
	}

	open := w.headers(false, b.pushHeaders(ana.Token)...)
	refused := w.push(b, ana.Token)
	reset := until2[*http2.RSTStreamFrame](w)
	if reset.StreamID != refused || reset.ErrCode != http2.ErrCodeRefusedStream {
		t.Errorf("the second stream got %v", reset)
	}

	// A request that is refused for its token does not lift the limit.
	must(t, w.fr.WriteData(open, true, []byte(hello)))
	raised := until(w, func(f *http2.SettingsFrame) bool { _, has := streamLimit(f); return has })
	if n, _ := streamLimit(raised); n != 3 {
		t.Errorf("the limit was raised to %d", n)
	}
	if got := w.status(open); got != "200" {
		t.Errorf("the first stream got %s", got)
	}
	for range 3 {
		w.headers(false, b.pushHeaders(ana.Token)...)
	}
	w.headers(false, b.pushHeaders(ana.Token)...)
	if got := until2[*http2.RSTStreamFrame](w); got.ErrCode != http2.ErrCodeRefusedStream || got.StreamID != w.next-2 {
		t.Errorf("the fourth stream got %v", got)
	}
	if got := b.stats()["apns"].ByReason["REFUSED_STREAM"]; got != 2 {
		t.Errorf("the statistics count %d refused streams", got)
	}
}

// until2 waits for a frame that until takes for a failure.
func until2[F http2.Frame](w *wire) F {
	w.t.Helper()
	for {
		frame, err := w.fr.ReadFrame()
		must(w.t, err)
		if f, is := frame.(F); is {
			return f
		}
	}
}

func TestStreamLimitStaysWithoutAuthorisation(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	w := b.dial()
	fields := b.pushHeaders(ana.Token)
	fields[slices.Index(fields, "authorization")+1] = "bearer x"
	id := w.headers(true, fields...)
	until(w, func(f *http2.MetaHeadersFrame) bool {
		if f.StreamID != id || f.PseudoValue("status") != "403" {
			t.Errorf("got %v", f)
		}
		return true
	})
	w.headers(false, b.pushHeaders(ana.Token)...)
	w.headers(false, b.pushHeaders(ana.Token)...)
	if got := until2[*http2.RSTStreamFrame](w); got.StreamID != w.next-2 {
		t.Errorf("got %v", got)
	}
}

// TestGoAway: streams up to the last are answered after GOAWAY, later ones are
// ignored, and then the connection ends.
func TestGoAway(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	w := b.dial()
	w.status(w.push(b, ana.Token))
	unfinished := w.headers(false, b.pushHeaders(ana.Token)...)
	b.faults(`{"provider":"apns","reason":"goaway","count":1}`)
	if got := w.status(w.push(b, ana.Token)); got != "200" {
		t.Errorf("the request before GOAWAY got %s", got)
	}
	last := w.next - 2
	away := until2[*http2.GoAwayFrame](w)
	if away.LastStreamID != last || away.ErrCode != http2.ErrCodeNo || string(away.DebugData()) != `{"reason":"Shutdown"}` {
		t.Errorf("got last stream %d (want %d), %v, %s", away.LastStreamID, last, away.ErrCode, away.DebugData())
	}
	w.push(b, ana.Token)
	must(t, w.fr.WriteData(unfinished, true, []byte(hello)))
	f := until2[*http2.MetaHeadersFrame](w)
	if f.StreamID != unfinished || f.PseudoValue("status") != "200" {
		t.Errorf("the stream before GOAWAY got %v", f)
	}
	w.ended()
	if got := len(b.inbox("ana")); got != 3 {
		t.Errorf("%d pushes arrived, want 3", got)
	}
}

func TestGoAwayEvery(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	b.faults(`{"provider":"apns","goaway_every":3}`)
	for range 2 {
		w := b.dial()
		for range 3 {
			w.status(w.push(b, ana.Token))
		}
		if away := until2[*http2.GoAwayFrame](w); away.LastStreamID != 5 {
			t.Errorf("got %v", away)
		}
		w.ended()
	}
}

func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	b.faults(`{"provider":"apns","latency_ms":300}`)
	w := b.dial()
	id := w.push(b, ana.Token)
	until(w, func(f *http2.SettingsFrame) bool { n, _ := streamLimit(f); return n == 1000 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); b.stop() }()
	if away := until2[*http2.GoAwayFrame](w); away.LastStreamID != id || !strings.Contains(string(away.DebugData()), "Shutdown") {
		t.Errorf("got %v %s", away, away.DebugData())
	}
	if got := until2[*http2.MetaHeadersFrame](w); got.PseudoValue("status") != "200" {
		t.Errorf("got %v", got)
	}
	w.ended()
	<-stopped
}

func TestPing(t *testing.T) {
	b := start(t, sim.Options{})
	w := b.dial()
	data := [8]byte{1, 2, 3}
	must(t, w.fr.WritePing(false, data))
	until(w, func(f *http2.PingFrame) bool { return f.IsAck() && f.Data == data })
}

func TestContinuationPaddingPriorityAndTrailers(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	w := b.dial()
	block := slices.Clone(w.block(b.pushHeaders(ana.Token)...))
	must(t, w.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block[:10], PadLength: 5,
		Priority: http2.PriorityParam{Weight: 3},
	}))
	must(t, w.fr.WriteContinuation(1, false, block[10:20]))
	must(t, w.fr.WriteContinuation(1, true, block[20:]))
	must(t, w.fr.WritePriority(1, http2.PriorityParam{Weight: 9}))
	must(t, w.fr.WriteRawFrame(0xee, 0, 0, []byte("unknown")))
	must(t, w.fr.WriteDataPadded(1, false, []byte(hello), make([]byte, 100)))
	must(t, w.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: w.block("x-trailer", "1"), EndHeaders: true, EndStream: true,
	}))
	if got := w.status(1); got != "200" {
		t.Errorf("got %s", got)
	}
}

// TestFlowControl sends errors, whose bodies need a window, to a client that
// opens it late and byte by byte; and more than a window of requests.
func TestFlowControl(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	w := b.dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	id := w.headers(false, b.pushHeaders(strings.Repeat("0", 64))...)
	must(t, w.fr.WriteData(id, true, []byte(hello)))
	if got := w.status(id); got != "400" {
		t.Errorf("got %s", got)
	}
	want := `{"reason":"BadDeviceToken"}`
	var got string
	must(t, w.fr.WriteWindowUpdate(id, 5))
	for len(got) < len(want) {
		f := until(w, func(f *http2.DataFrame) bool { return f.StreamID == id })
		if len(got) == 0 && len(f.Data()) != 5 || len(got) == 5 && len(f.Data()) != 1 {
			t.Fatalf("after %q came %q, more than the window", got, f.Data())
		}
		got += string(f.Data())
		if f.StreamEnded() != (got == want) {
			t.Errorf("after %q the stream ended: %v", got, f.StreamEnded())
		}
		switch len(got) {
		case 5:
			must(t, w.fr.WriteWindowUpdate(id, 1))
		case 6: // the rest by a new initial window
			must(t, w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}))
		}
	}

	// 1,000 requests of 4 KB are four connection windows.
	body := []byte(pad(4096))
	left := int64(1 << 20)
	for range 1000 {
		for left < int64(len(body)) {
			f := until(w, func(f *http2.WindowUpdateFrame) bool { return f.StreamID == 0 })
			left += int64(f.Increment)
		}
		id := w.headers(false, b.pushHeaders(ana.Token)...)
		must(t, w.fr.WriteData(id, true, body))
		left -= int64(len(body))
		if got := w.waitStatus(id, &left); got != "200" {
			t.Fatalf("stream %d got %s", id, got)
		}
	}
}

// waitStatus waits for an answer and counts the window that arrives meanwhile.
func (w *wire) waitStatus(id uint32, left *int64) string {
	w.t.Helper()
	for {
		frame, err := w.fr.ReadFrame()
		must(w.t, err)
		switch f := frame.(type) {
		case *http2.WindowUpdateFrame:
			*left += int64(f.Increment)
		case *http2.MetaHeadersFrame:
			if f.StreamID == id {
				return f.PseudoValue("status")
			}
		}
	}
}

// TestProtocolErrors: what breaks HTTP/2 ends the connection, or the stream, with
// the code of the RFC.
func TestProtocolErrors(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	tests := []struct {
		name string
		do   func(w *wire) error
		code http2.ErrCode
	}{
		{"even stream", func(w *wire) error {
			w.next = 2
			w.headers(true, b.pushHeaders(ana.Token)...)
			return nil
		}, http2.ErrCodeProtocol},
		{"data on an idle stream", func(w *wire) error { return w.fr.WriteData(9, true, nil) }, http2.ErrCodeProtocol},
		{"push promise", func(w *wire) error {
			return w.fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		}, http2.ErrCodeProtocol},
		{"window of the connection", func(w *wire) error {
			return w.fr.WriteWindowUpdate(0, 1<<31-1)
		}, http2.ErrCodeFlowControl},
		{"frame too large", func(w *wire) error {
			id := w.headers(false, b.pushHeaders(ana.Token)...)
			w.fr.AllowIllegalWrites = true
			return w.fr.WriteData(id, true, make([]byte, 16385))
		}, http2.ErrCodeFrameSize},
		{"HPACK", func(w *wire) error {
			return w.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
		}, http2.ErrCodeCompression},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := b.with(t)
			w := b.dial()
			must(t, test.do(w))
			if got := until2[*http2.GoAwayFrame](w); got.ErrCode != test.code {
				t.Errorf("got %v, want %v", got.ErrCode, test.code)
			}
			w.ended()
		})
	}
	t.Run("upper-case header", func(t *testing.T) {
		b := b.with(t)
		w := b.dial()
		id := w.headers(true, append(b.pushHeaders(ana.Token), "Apns-Id", "x")...)
		if got := until2[*http2.RSTStreamFrame](w); got.StreamID != id || got.ErrCode != http2.ErrCodeProtocol {
			t.Errorf("got %v", got)
		}
		if got := w.status(w.push(b, ana.Token)); got != "200" {
			t.Errorf("the next stream got %s", got)
		}
	})
	t.Run("headers too large", func(t *testing.T) {
		b := b.with(t)
		w := b.dial()
		long := strings.Repeat("y", 3000)
		if got := w.status(w.headers(true, append(b.pushHeaders(ana.Token), "x", long, "y", long, "z", long)...)); got != "431" {
			t.Errorf("got %s", got)
		}
	})
}

// TestManyInFlight keeps a thousand delayed streams open at once.
func TestManyInFlight(t *testing.T) {
	b := start(t, sim.Options{})
	ana := b.add("ana", "ios")
	w := b.dial()
	w.status(w.push(b, ana.Token))
	b.faults(`{"provider":"apns","latency_ms":500}`)
	for range 1000 {
		w.push(b, ana.Token)
	}
	answers := map[string]int{}
	for range 1000 {
		f := until(w, func(*http2.MetaHeadersFrame) bool { return true })
		answers[f.PseudoValue("status")]++
	}
	if answers["200"] != 1000 {
		t.Errorf("got %s", fmt.Sprint(answers))
	}
}

// TestReset: the peer takes requests back, before and after they are complete.
func TestReset(t *testing.T) {
	b := start(t, sim.Options{MaxStreams: 1})
	ana := b.add("ana", "ios")
	w := b.dial()
	id := w.headers(false, b.pushHeaders(ana.Token)...)
	must(t, w.fr.WriteRSTStream(id, http2.ErrCodeCancel))
	b.faults(`{"provider":"apns","reason":"hang","count":1}`)
	id = w.push(b, ana.Token)
	must(t, w.fr.WriteRSTStream(id, http2.ErrCodeCancel))
	if got := w.status(w.push(b, ana.Token)); got != "200" {
		t.Errorf("got %s", got)
	}
	if got := len(b.inbox("ana")); got != 1 {
		t.Errorf("the inbox has %d entries", got)
	}
}
