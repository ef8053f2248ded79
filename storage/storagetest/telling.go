package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Telling runs the part of the suite that is about what backends are told of messages.
// open gives an empty store that tells as it is given.
func Telling(t *testing.T, open func(t *testing.T, tell storage.Telling) storage.Store) {
	for _, one := range []struct {
		name string
		run  func(*tellingEnv)
	}{
		{"a message that has been settled", toldOnceSettled},
		{"a message without an audience", toldAtOnce},
		{"a cancelled message", toldWhenCancelled},
		{"a scheduled message", toldWhenStarted},
		{"a planned message", toldWhenPlanned},
		{"whom nothing has reached", toldUnreached},
		{"a dead token", toldDead},
		{"what nobody wants to hear", toldNobody},
		{"a full queue", toldNoMore},
	} {
		t.Run(one.name, func(t *testing.T) {
			e := &tellingEnv{kinds: []diaphone.NoticeKind{diaphone.MessageFinished, diaphone.UserUnreachable, diaphone.TokenDead}}
			e.env = &env{judge: t, ctx: t.Context(), s: open(t, storage.Telling{
				Wants:    func(_ diaphone.AppID, k diaphone.NoticeKind) bool { return slices.Contains(e.kinds, k) },
				Finished: e.finished, Dead: e.dead, MaxPending: 5,
				Told: func(_ diaphone.WebhookID, appended, dropped int) {
					e.appended, e.dropped = e.appended+appended, e.dropped+dropped
				},
			})}
			one.run(e)
			queues, err := e.s.Queues(e.ctx, app)
			e.no(err, "queues")
			if len(queues) > 0 {
				equal(e.env, int64(e.appended), queues[0].Pending, "notices told of, and there")
			}
		})
	}
}

type tellingEnv struct {
	*env
	kinds             []diaphone.NoticeKind
	appended, dropped int
}

var tellHook = diaphone.WebhookID{App: app, Name: "backend"}

func (e *tellingEnv) finished(f storage.Finished) []storage.AddressedNotice {
	line := fmt.Sprintf("finished %d/%d/%d", f.Counts.Accepted, f.Counts.Delivered, f.Counts.Failed)
	if !f.CancelledAt.IsZero() {
		line += " cancelled"
	}
	if f.Event {
		line += " event"
	}
	for _, u := range f.Unreached {
		line += " " + string(u.User) + ":" + u.Reason
	}
	return e.say(diaphone.MessageFinished, line)
}

func (e *tellingEnv) dead(d storage.DeadToken) []storage.AddressedNotice {
	return e.say(diaphone.TokenDead, fmt.Sprintf("dead %s %s %s %s %v", d.Device, d.User, d.Token.Value.Reveal(), d.Reason, d.At.Equal(at(9))))
}

func (e *tellingEnv) say(k diaphone.NoticeKind, line string) []storage.AddressedNotice {
	return []storage.AddressedNotice{{
		Notice: diaphone.Notice{ID: diaphone.NewNoticeID(at(1)), At: at(1), Kind: k, Data: line}, Webhooks: []diaphone.WebhookID{tellHook},
	}}
}

// expect compares what the backend is owed.
func (e *tellingEnv) expect(want ...string) {
	e.Helper()
	front, err := e.s.Front(e.ctx, tellHook, 100)
	e.no(err, "front")
	var got []string
	for _, q := range front {
		got = append(got, q.Notice.Data)
	}
	if !slices.Equal(got, want) {
		e.Fatalf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func toldOnceSettled(e *tellingEnv) {
	e.put(phone("a", ofUser("ana")))
	e.put(phone("b", ofUser("ana")))
	e.accept(e.message(1, toUsers("ana")))
	e.expect()
	b := e.claim(fcmLane(app), 2, 10)[0]
	first := storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 0, State: diaphone.Failed, Reason: "no"}}}
	e.settle(3, first)
	e.expect()
	last := storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 1, State: diaphone.Delivered}}}
	e.settle(4, last)
	e.expect("finished 2/1/1")
	equal(e.env, len(e.settle(5, last).Fenced), 1, "settled again")
	e.expect("finished 2/1/1")
}

func toldAtOnce(e *tellingEnv) {
	m := e.message(1, toUsers("nobody"))
	m.Event = &diaphone.Event{Name: "e", Data: "{}"}
	e.accept(m)
	e.expect("finished 0/0/0 event nobody:no_devices")
}

func toldWhenCancelled(e *tellingEnv) {
	m := e.message(1, toUsers("nobody"))
	m.SendAt = at(100)
	e.accept(m)
	e.expect()
	for range 2 {
		_, err := e.s.Cancel(e.ctx, app, m.ID, at(2))
		e.no(err, "cancel")
	}
	e.expect("finished 0/0/0 cancelled")
}

func toldWhenStarted(e *tellingEnv) {
	m := e.message(1, toUsers("ana"))
	m.SendAt = at(100)
	e.accept(m)
	e.put(phone("a", ofUser("ana"), withTokens()))
	_, began, err := e.s.Start(e.ctx, app, m.ID, route)
	e.no(err, "start")
	equal(e.env, began, true, "began")
	e.expect("finished 1/0/1 ana:no_token")
}

// The last page plans a device that nothing can reach, and all else is settled before.
func toldWhenPlanned(e *tellingEnv) {
	for i := range storage.PlanPage + 1 {
		d := phone(fmt.Sprintf("d%05d", i), on("news"))
		if i == storage.PlanPage {
			d.Tokens = nil
		}
		e.put(d)
	}
	m := e.message(1, toChannels("news"))
	e.accept(m)
	for _, b := range e.claim(fcmLane(app), 2, 2*storage.PlanPage) {
		e.settle(3, all(&b, diaphone.Delivered))
	}
	e.expect()
	equal(e.env, e.planAll(m), 1, "steps")
	e.expect("finished 1001/1000/1")
}

func toldUnreached(e *tellingEnv) {
	for _, of := range []string{"ana", "bob", "eve", "joe"} {
		e.put(phone(of+"1", ofUser(diaphone.UserID(of))))
		e.put(phone(of+"2", ofUser(diaphone.UserID(of))))
	}
	m := e.message(1, diaphone.Audience{Users: []diaphone.UserID{"ana", "bob", "eve", "nil", "joe", "nil"}, Devices: []diaphone.DeviceID{"ana1"}})
	e.accept(m)
	states := map[diaphone.DeviceID]storage.Result{
		"ana1": {State: diaphone.Delivered}, "ana2": {State: diaphone.Failed, Reason: "x"},
		"bob1": {State: diaphone.Failed, Reason: "Unregistered"}, "bob2": {State: diaphone.Expired, Reason: "expired"},
		"eve1": {State: diaphone.Failed, Reason: "y"}, "eve2": {State: diaphone.Suppressed, Reason: "taken_live"},
		"joe1": {State: diaphone.Failed}, "joe2": {State: diaphone.Failed},
	}
	for _, b := range e.claim(fcmLane(app), 2, 100) {
		s := storage.Settlement{Batch: &b}
		for _, it := range b.Items {
			r := states[it.Device]
			r.Index = it.Index
			s.Results = append(s.Results, r)
		}
		e.settle(3, s)
	}
	e.expect("finished 8/1/5 bob:expired nil:no_devices joe:failed")
}

func toldDead(e *tellingEnv) {
	e.put(phone("a", ofUser("ana")))
	m := e.message(1, toDevices("a"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 10)[0]
	e.settle(9, storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 0, State: diaphone.Failed, Reason: "Unregistered",
		Forget: &storage.Forget{Device: "a", Token: fcmToken("token-of-a"), Since: at(5)}}}})
	e.expect("dead a ana token-of-a Unregistered true", "finished 1/0/1")
	// A token that was registered again is not given up.
	e.put(phone("b"))
	m = e.message(1, toDevices("b"))
	e.accept(m)
	b = e.claim(fcmLane(app), 2, 10)[0]
	e.settle(9, storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 0, State: diaphone.Failed, Reason: "Unregistered",
		Forget: &storage.Forget{Device: "b", Token: fcmToken("token-of-b"), Since: at(-5)}}}})
	e.expect("dead a ana token-of-a Unregistered true", "finished 1/0/1", "finished 1/0/1")
}

func toldNobody(e *tellingEnv) {
	e.kinds = []diaphone.NoticeKind{diaphone.MessageFinished}
	e.accept(e.message(1, toUsers("nobody")))
	e.expect("finished 0/0/0") // and nobody has looked for users
	e.kinds = nil
	e.accept(e.message(1, toUsers("nobody")))
	toldDeadOf(e)
	e.expect("finished 0/0/0")
}

func toldDeadOf(e *tellingEnv) {
	e.put(phone("a"))
	e.accept(e.message(1, toDevices("a")))
	b := e.claim(fcmLane(app), 2, 10)[0]
	e.settle(9, storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 0, State: diaphone.Failed, Reason: "Unregistered",
		Forget: &storage.Forget{Device: "a", Token: fcmToken("token-of-a"), Since: at(5)}}}})
	if d := e.device(app, "a"); d.Tokens[0].Active() {
		e.Errorf("the token is still there")
	}
}

func toldNoMore(e *tellingEnv) {
	for range 7 {
		e.accept(e.message(1, toUsers("nobody")))
	}
	equal(e.env, e.appended, 5, "appended")
	equal(e.env, e.dropped, 2, "dropped")
	e.no(e.s.Done(e.ctx, tellHook, 1), "done")
	e.accept(e.message(1, toUsers("nobody")))
	front, err := e.s.Front(e.ctx, tellHook, 100)
	e.no(err, "front")
	equal(e.env, len(front), 5, "notices")
	equal(e.env, front[4].Seq, uint64(6), "the number of the last, for what was dropped has none")
	e.appended-- // one is done
}
