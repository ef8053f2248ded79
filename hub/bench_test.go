//go:build unix

package hub

import (
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// BenchmarkFanout publishes a 200-byte event to 1,000 connections over loopback;
// one op is one event received by all. Publisher, hub and clients share the
// machine, so the processor time is that of all three.
func BenchmarkFanout(b *testing.B) {
	for _, inFlight := range []int{1, 4, 16} {
		b.Run("inflight="+strconv.Itoa(inFlight), func(b *testing.B) { benchmarkFanout(b, 1000, inFlight) })
	}
}

func benchmarkFanout(b *testing.B, subscribers, inFlight int) {
	s := open(b, Config{})
	data := strings.Repeat("x", 200)
	size := int64(plain{}.Event("news", &diaphone.Event{Name: "e", Data: data}).Len())
	var received atomic.Int64 // bytes
	progress := make(chan struct{}, 1)
	for range subscribers {
		v := s.visit()
		v.do("join news", "in news")
		_ = v.conn.SetDeadline(time.Time{})
		go func() {
			p := make([]byte, 32<<10)
			for {
				n, err := v.r.Read(p)
				if n > 0 {
					received.Add(int64(n))
					select {
					case progress <- struct{}{}:
					default:
					}
				}
				if err != nil {
					return
				}
			}
		}()
	}
	all := size * int64(subscribers)
	before := processorTime(b)
	b.ResetTimer()
	for sent := 0; sent < b.N || received.Load() < all*int64(b.N); {
		for sent < b.N && int64(sent)*all-received.Load() < all*int64(inFlight) {
			s.publish("news", data)
			sent++
		}
		<-progress
	}
	b.StopTimer()
	deliveries := float64(b.N) * float64(subscribers)
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/deliveries, "cpu-ns/delivery")
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
