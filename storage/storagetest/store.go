package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func storeTests() []test {
	return []test{
		{"check", check},
		{"a closed store", closedStore},
		{"a context that has ended", endedContext},
		{"close waits for what was begun", closeWaits},
		{"everything at once", together},
	}
}

func check(e *env) {
	for range 3 {
		e.no(e.s.Check(e.ctx), "check")
	}
}

// calls are all methods but Close, each with arguments that would do.
func (e *env) calls(ctx context.Context) map[string]func() error {
	m := e.message(1, toDevices("d"))
	return map[string]func() error{
		"ChangeDevice": func() error { _, _, err := Put(ctx, e.s, phone("d"), at(0)); return err },
		"Device":       func() error { _, err := e.s.Device(ctx, app, "d"); return err },
		"DeleteDevice": func() error { return e.s.DeleteDevice(ctx, app, "d") },
		"ListDevices":  func() error { _, _, err := e.s.ListDevices(ctx, app, "", storage.Page{Limit: 1}); return err },
		"CountDevices": func() error { _, err := e.s.CountDevices(ctx, app); return err },
		"EraseUser":    func() error { _, _, err := e.s.EraseUser(ctx, app, "ana", 1); return err },
		"Accept":       func() error { _, err := e.s.Accept(ctx, m, storage.Idempotency{}, route); return err },
		"Plan":         func() error { _, _, err := e.s.Plan(ctx, app, m.ID, route); return err },
		"Unplanned":    func() error { _, err := e.s.Unplanned(ctx, 1); return err },
		"Claim": func() error {
			_, _, err := e.s.Claim(ctx, storage.Claim{Lane: fcmLane(app), Now: at(1), N: 1, Lease: lease})
			return err
		},
		"Settle":     func() error { _, err := e.s.Settle(ctx, nil, at(1)); return err },
		"Lanes":      func() error { _, err := e.s.Lanes(ctx); return err },
		"Message":    func() error { _, err := e.s.Message(ctx, app, m.ID); return err },
		"Deliveries": func() error { _, _, err := e.s.Deliveries(ctx, app, m.ID, storage.Page{Limit: 1}); return err },
		"Sweep":      func() error { _, _, err := e.s.Sweep(ctx, at(0), 1); return err },
		"Check":      func() error { return e.s.Check(ctx) },
		"Append": func() error {
			return e.s.Append(ctx, storage.Append{Notices: []storage.AddressedNotice{{Webhooks: []diaphone.WebhookID{hook}}}})
		},
		"Front":        func() error { _, err := e.s.Front(ctx, hook, 1); return err },
		"Done":         func() error { return e.s.Done(ctx, hook, 1) },
		"Bury":         func() error { return e.s.Bury(ctx, hook, 1, "x", at(1)) },
		"Queues":       func() error { _, err := e.s.Queues(ctx, app); return err },
		"DeadLetters":  func() error { _, _, err := e.s.DeadLetters(ctx, hook, storage.Page{Limit: 1}); return err },
		"Revive":       func() error { _, _, err := e.s.Revive(ctx, hook, nil, at(1)); return err },
		"Discard":      func() error { _, _, err := e.s.Discard(ctx, hook, nil); return err },
		"SweepNotices": func() error { _, _, err := e.s.SweepNotices(ctx, at(0), nil, 1); return err },
		"Standing":     func() error { _, _, err := e.s.Standing(ctx, app, storage.Page{Limit: 1}); return err },
	}
}

func closedStore(e *env) {
	e.no(e.s.Close(), "close")
	for name, call := range e.calls(e.ctx) {
		if err := call(); !errors.Is(err, storage.ErrClosed) {
			e.Errorf("%s after Close: %v", name, err)
		}
	}
	e.no(e.s.Close(), "close again")
}

func endedContext(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.put(phone("d"))
	for name, call := range e.calls(ctx) {
		if err := call(); !errors.Is(err, context.Canceled) {
			e.Errorf("%s with an ended context: %v", name, err)
		}
	}
	e.device(app, "d")
}

// closeWaits: a write either is there after Close or has answered ErrClosed.
func closeWaits(e *env) {
	const callers = 32
	stored := make([]bool, callers)
	var begun, group sync.WaitGroup
	begun.Add(callers)
	for i := range callers {
		group.Go(func() {
			begun.Done()
			_, _, err := Put(e.ctx, e.s, phone(fmt.Sprint(i)), at(0))
			if err != nil && !errors.Is(err, storage.ErrClosed) {
				e.Errorf("put: %v", err)
			}
			stored[i] = err == nil
		})
	}
	begun.Wait()
	e.no(e.s.Close(), "close")
	group.Wait()
	e.s = e.reopen()
	for i := range callers {
		_, err := e.s.Device(e.ctx, app, diaphone.DeviceID(fmt.Sprint(i)))
		equal(e, err == nil, stored[i], "device %d is there", i)
	}
}

// together runs every kind of call at once; the race detector and the counts judge.
func together(e *env) {
	e.crowd(50, on("news"))
	var accepted atomic.Int64
	var group sync.WaitGroup
	loop := func(n int, fn func(i int) error) {
		group.Go(func() {
			for i := range n {
				if err := fn(i); err != nil && diaphone.CodeOf(err) != diaphone.NotFound {
					e.Errorf("call %d: %v", i, err)
					return
				}
			}
		})
	}
	var messages []*diaphone.Message
	for i := range 40 {
		messages = append(messages, e.message(float64(i), toChannels("news")))
	}
	for part := range 2 {
		loop(20, func(i int) error {
			a, err := e.s.Accept(e.ctx, messages[2*i+part], storage.Idempotency{}, route)
			accepted.Add(a.Counts.Accepted)
			return err
		})
		loop(200, func(i int) error {
			batches, _, err := e.s.Claim(e.ctx, storage.Claim{Lane: fcmLane(app), Now: at(100), N: 60, Lease: lease})
			for _, b := range batches {
				work := all(&b, diaphone.Delivered)
				work.Results = work.Results[:(len(work.Results)+1)/2]
				work.Release = i%2 == 0
				if _, err := e.s.Settle(e.ctx, []storage.Settlement{work}, at(100)); err != nil {
					return err
				}
			}
			return err
		})
	}
	loop(100, func(i int) error {
		_, _, err := Put(e.ctx, e.s, phone(fmt.Sprint("extra", i%5), on("sport")), at(0))
		return err
	})
	loop(100, func(i int) error { return e.s.DeleteDevice(e.ctx, app, diaphone.DeviceID(fmt.Sprint("extra", i%5))) })
	loop(100, func(i int) error {
		_, _, err := e.s.Deliveries(e.ctx, app, messages[i%40].ID, storage.Page{Limit: 10})
		return err
	})
	loop(30, func(int) error { _, err := e.s.Lanes(e.ctx); return err })
	loop(10, func(int) error { return e.s.Check(e.ctx) })
	loop(30, func(int) error { _, _, err := e.s.Sweep(e.ctx, at(0), 5); return err })
	group.Wait()

	for second := 1000.0; ; second += 100 {
		batches := e.claim(fcmLane(app), second, 1<<20)
		if len(batches) == 0 {
			break
		}
		for _, b := range batches {
			e.settle(second, all(&b, diaphone.Delivered))
		}
	}
	total := int64(0)
	for _, m := range messages {
		r := e.report(m)
		equal(e, r.State, diaphone.Finished, "state")
		total += r.Counts.Delivered
	}
	equal(e, total, accepted.Load(), "delivered in all")
}
