package exchange

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// What stands for ids in a rendering is as long as they are.
func TestSamplesHaveTheSizeOfIDs(t *testing.T) {
	id := diaphone.NewMessageID(time.Now())
	if sample := MessageID(""); len(sample) != len(id) || MessageID(id) != string(id) {
		t.Errorf("%q stands for %q", sample, id)
	}
	if delivery := diaphone.DeliveryID(id, "phone"); len(SampleDelivery()) != len(delivery) {
		t.Errorf("%q stands for %q", SampleDelivery(), delivery)
	}
}

func TestFits(t *testing.T) {
	if err := Fits("payload", 10, 10); err != nil {
		t.Error(err)
	}
	var e *diaphone.Error
	if err := Fits("payload", 11, 10); !errors.As(err, &e) || e.Code != diaphone.TooLarge || e.Detail != "the payload has 11 bytes, the limit is 10" {
		t.Errorf("%v", err)
	}
}

func TestRemaining(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	hour, never := 3600, 0
	m := &diaphone.Message{Notification: &diaphone.Notification{TTL: &hour}, Expires: at.Add(time.Hour)}
	for after, want := range map[time.Duration]int{
		-time.Minute: 3600, 0: 3600, time.Millisecond: 3600, time.Second: 3599, 59 * time.Minute: 60, time.Hour: 0, 2 * time.Hour: 0,
	} {
		if got := Remaining(m, at.Add(after)); got != want {
			t.Errorf("after %v: %d, want %d", after, got, want)
		}
	}
	m.Notification.TTL = &never
	if got := Remaining(m, at); got != 0 {
		t.Errorf("now or never: %d", got)
	}
	if Remaining(nil, at) != 0 || Remaining(&diaphone.Message{}, at) != 0 {
		t.Error("a message without a notification has time left")
	}
}

func TestAttemptsEndWithClose(t *testing.T) {
	a := NewAttempts()
	ctx, end, ok := a.Begin(context.Background())
	if !ok || a.Closed() {
		t.Fatal("closed from the start")
	}
	closed := make(chan struct{})
	go func() {
		a.Close()
		close(closed)
	}()
	<-ctx.Done()
	select {
	case <-closed:
		t.Error("Close did not wait for the attempt")
	default:
	}
	end()
	<-closed
	if _, _, ok := a.Begin(context.Background()); ok || !a.Closed() {
		t.Error("an attempt begins after Close")
	}
	a.Close()
}
