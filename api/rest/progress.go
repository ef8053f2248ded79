package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// Of a stream of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
const (
	progressEvery = 250 * time.Millisecond // at most one event in so long
	heartbeat     = 15 * time.Second       // so often a comment, for proxies that cut what is quiet
	patience      = 10 * time.Second       // a caller who does not take an event in so long is dropped
)

// progress streams how far a message has come, until it has finished, the caller goes or
// the gateway stops.
func (d *Door) progress(c *call) error {
	id, err := c.messageID()
	if err != nil {
		return err
	}
	watch, err := d.gateway.Watch(c.app.ID, id)
	if err != nil {
		return err
	}
	defer watch.Close()
	now, err := d.progressOf(c, id)
	if err != nil {
		return err
	}
	s := openStream(c)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for told := (wire.Progress{}); ; {
		if now != told {
			if err := s.event(now); err != nil || now.State == diaphone.Finished {
				return nil //nolint:nilerr // the answer has begun: there is nobody to tell
			}
			told = now
		}
		select {
		case <-s.ctx.Done():
			return nil
		case <-d.stopping:
			return nil
		case <-beat.C:
			if err := s.write(": \n\n"); err != nil {
				return nil //nolint:nilerr // as above
			}
			continue
		case <-watch.Changed:
		}
		if !s.rest(d.stopping) {
			return nil
		}
		if now, err = d.progressOf(c, id); err != nil { // the store is closed, or the message swept
			return nil //nolint:nilerr // as above
		}
	}
}

// progressOf asks for a message, for a while.
func (d *Door) progressOf(c *call, id diaphone.MessageID) (wire.Progress, error) {
	ctx, cancel := context.WithTimeout(c.ctx(), RequestTimeout)
	defer cancel()
	r, err := d.gateway.Message(ctx, c.app.ID, id)
	if err != nil {
		return wire.Progress{}, err
	}
	return wire.Progress{
		ID: id, State: r.State, Counts: wire.Counts(r.Counts), Receipts: wire.ReceiptCounts(r.Receipts),
		FinishedAt: wire.At(r.FinishedAt), CancelledAt: wire.At(r.CancelledAt),
	}, nil
}

// stream is an answer without an end. The server's time-outs are for those that end
// soon: each write has one of its own here.
type stream struct {
	ctx     context.Context
	to      *echo.Response
	control *http.ResponseController
}

func openStream(c *call) *stream {
	s := &stream{ctx: c.ctx(), to: c.Response(), control: http.NewResponseController(c.Response())}
	_ = s.control.SetReadDeadline(time.Time{}) // net/http goes on reading, to see the caller go
	h := s.to.Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set(echo.HeaderCacheControl, "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx would gather the events
	s.to.WriteHeader(http.StatusOK)
	return s
}

func (s *stream) event(p wire.Progress) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return s.write("data: " + string(text) + "\n\n")
}

func (s *stream) write(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(patience))
	if _, err := s.to.Write([]byte(text)); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	return s.control.SetWriteDeadline(time.Time{}) // of HTTP/2, it would end a quiet stream
}

// rest waits until the next event may go out. It is false when there will be none.
func (s *stream) rest(stopping <-chan struct{}) bool {
	timer := time.NewTimer(progressEvery)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
	case <-stopping:
	case <-timer.C:
		return true
	}
	return false
}
