package storagetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func settleTests() []test {
	return []test{
		{"retries go to batches of their time", retries},
		{"a wrong result changes nothing", wrongResults},
		{"many batches in one call", settleMany},
		{"a dead token is forgotten", forgetToken},
		{"a token registered again is kept", forgetNot},
		{"a token moves to its environment", moveToken},
		{"finished is told once", finishedOnce},
	}
}

func retries(e *env) {
	e.crowd(6, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 10)[0]
	again := func(i uint32, second float64, tries int) storage.Result {
		return storage.Result{Index: i, State: diaphone.Pending, RetryAt: at(second), Tries: tries}
	}
	e.settle(3, storage.Settlement{Batch: &b, Results: []storage.Result{
		again(5, 10, 1), again(0, 9.999, 2), again(1, 20, 1), again(2, 20.001, 1),
		{Index: 3, State: diaphone.Delivered}, {Index: 4, State: diaphone.Failed, Reason: "retries_exhausted"},
	}})
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 6, Pending: 4, Delivered: 1, Failed: 1}, "counts")

	none, next := e.claimNext(fcmLane(app), 9.9, 10)
	equal(e, len(none), 0, "batches before the retry")
	if next.Before(at(9.999)) || next.After(at(10.1)) {
		e.Fatalf("next %v, want about %v", next, at(10))
	}
	first := e.claim(fcmLane(app), 10.1, 10)
	equal(e, items(first), "0:2 5:1", "deliveries of the first retry")
	second := e.claim(fcmLane(app), 20.1, 10)
	equal(e, items(second), "1:1 2:1", "deliveries of the second retry")
	equal(e, first[0].Urgent, false, "urgent: a retry stays in its class")
	reports := e.deliveries(m, 10)
	if r := reports[1]; r.State != diaphone.Pending || r.RetryAt.Before(at(20)) || r.RetryAt.After(at(20.1)) {
		e.Fatalf("report of a delivery that waits: %+v", r)
	}
	// And once more, from a retry batch.
	e.settle(21, storage.Settlement{Batch: &second[0], Results: []storage.Result{again(second[0].Items[0].Index, 30, 2)}, Release: true})
	equal(e, len(e.claim(fcmLane(app), 30.1, 10)) > 0, true, "batches of the third try")
	for _, r := range []float64{60.2, 70} {
		for _, b := range e.claim(fcmLane(app), r, 10) {
			e.settle(r, all(&b, diaphone.Expired))
		}
	}
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 6, Delivered: 1, Failed: 1, Expired: 4}, "counts")
}

// items prints index:tries of all deliveries, ascending.
func items(batches []storage.Batch) string {
	var all []string
	for _, b := range batches {
		for _, it := range b.Items {
			all = append(all, fmt.Sprintf("%d:%d", it.Index, it.Tries))
		}
	}
	slices.Sort(all)
	text := fmt.Sprint(all)
	return text[1 : len(text)-1]
}

func wrongResults(e *env) {
	e.crowd(2, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 10)[0]
	good := e.message(1, toDevices("d00000"))
	e.accept(good)
	g := e.claim(fcmLane(app), 2, 10)[0]
	done := storage.Result{Index: 0, State: diaphone.Delivered}
	for what, results := range map[string][]storage.Result{
		"an index beyond the batch": {done, {Index: 2, State: diaphone.Delivered}},
		"an index twice":            {done, done},
		"an unknown state":          {done, {Index: 1, State: "asleep"}},
	} {
		_, err := e.s.Settle(e.ctx, []storage.Settlement{all(&g, diaphone.Delivered), {Batch: &b, Results: results}}, at(3))
		if err == nil {
			e.Fatalf("%s: no error", what)
		}
		equal(e, e.report(m).Counts.Pending, 2, "pending after %s", what)
		equal(e, e.report(good).Counts.Pending, 1, "pending of the other message after %s", what)
	}
	e.settle(3, storage.Settlement{Batch: &b, Results: []storage.Result{done}}, all(&g, diaphone.Delivered))
	_, err := e.s.Settle(e.ctx, []storage.Settlement{{Batch: &b, Results: []storage.Result{done}}}, at(4))
	if err == nil {
		e.Fatal("a second result for one delivery: no error")
	}
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 2, Pending: 1, Delivered: 1}, "counts")
	equal(e, len(e.deliveries(m, 10)[0].Attempts), 0, "attempts")
}

func settleMany(e *env) {
	e.crowd(1200, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	e.planAll(m)
	one := e.message(1, toDevices("d00000"))
	e.accept(one)
	batches := e.claim(fcmLane(app), 2, 1<<20)
	var work []storage.Settlement
	for i := range batches {
		work = append(work, all(&batches[i], diaphone.Delivered))
	}
	settled := e.settle(3, work...)
	equal(e, len(settled.Finished), 2, "messages finished")
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1200, Delivered: 1200}, "counts")
	equal(e, len(e.settle(4).Fenced), 0, "fenced in an empty settle")
}

func forgetToken(e *env) {
	e.put(phone("d", withTokens(fcmToken("dead"), diaphone.Token{Kind: diaphone.TokenAPNs, Value: "aa"})))
	e.accept(e.message(1, toDevices("d")))
	b := e.claim(fcmLane(app), 2, 1)[0]
	work := all(&b, diaphone.Failed)
	work.Results[0].Forget = &storage.Forget{Device: "d", Token: fcmToken("dead"), Since: at(0.25), Reason: "UNREGISTERED"}
	equal(e, e.settle(3, work).Forgotten, 1, "tokens forgotten")
	d := e.device(app, "d")
	dead, other := d.Tokens[0], d.Tokens[1]
	if dead.Active() || !dead.GoneAt.Equal(at(0.25)) || dead.GoneReason != "UNREGISTERED" || !other.Active() || !d.UpdatedAt.Equal(at(3)) {
		e.Fatalf("got %+v", d)
	}
	e.accept(e.message(4, toDevices("d")))
	b = e.claim(apnsLane(app), 5, 1)[0]
	// Who is told of it again changes nothing.
	work = all(&b, diaphone.Failed)
	work.Results[0].Forget = &storage.Forget{Device: "d", Token: fcmToken("dead"), Since: at(1), Reason: "again"}
	equal(e, e.settle(6, work).Forgotten, 0, "tokens forgotten twice")
	equal(e, e.device(app, "d").Tokens[0].GoneReason, "UNREGISTERED", "reason")
	// Registered again it is active.
	e.put(phone("d", withTokens(fcmToken("dead"))))
	equal(e, len(e.claim(fcmLane(app), 7, 1)), 0, "batches before a message")
	e.accept(e.message(7, toDevices("d")))
	equal(e, len(e.claim(fcmLane(app), 8, 1)), 1, "batches for the token that is back")
	// And whoever registers one that is gone ends its device all the same.
	e.put(phone("d", withTokens(diaphone.Token{Kind: diaphone.TokenFCM, Value: "dead", GoneAt: at(8)})))
	e.put(phone("d2", withTokens(fcmToken("dead"))))
	e.ended("d")
}

func forgetNot(e *env) {
	_, _, err := Put(e.ctx, e.s, phone("d", withTokens(fcmToken("t"))), at(10))
	e.no(err, "put")
	e.put(phone("mover", withTokens(fcmToken("old"))))
	for what, f := range map[string]storage.Forget{
		"registered after the vendor's time": {Device: "d", Token: fcmToken("t"), Since: at(9.999)},
		"another value":                      {Device: "d", Token: fcmToken("T"), Since: at(99)},
		"another kind":                       {Device: "d", Token: diaphone.Token{Kind: diaphone.TokenAPNs, Value: "t"}, Since: at(99)},
		"another device":                     {Device: "mover", Token: fcmToken("t"), Since: at(99)},
		"an unknown device":                  {Device: "nobody", Token: fcmToken("t"), Since: at(99)},
	} {
		e.accept(e.message(1, toDevices("d")))
		b := e.claim(fcmLane(app), 20, 1)[0]
		work := all(&b, diaphone.Failed)
		work.Results[0].Forget = &f
		equal(e, e.settle(20, work).Forgotten, 0, "tokens forgotten: %s", what)
		equal(e, e.device(app, "d").Tokens[0].Active(), true, "active: %s", what)
	}
}

// moveToken: what was found out of a token is written to it, and to no other.
func moveToken(e *env) {
	token := func(value string, env diaphone.Environment) diaphone.Token {
		return diaphone.Token{Kind: diaphone.TokenAPNs, Value: diaphone.Secret(value), Environment: env}
	}
	settle := func(now float64, m storage.Move) {
		e.accept(e.message(1, toDevices("d")))
		b := e.claim(fcmLane(app), 20, 1)[0]
		work := all(&b, diaphone.Delivered)
		work.Results[0].Move = &m
		e.settle(now, work)
	}
	put := func(now float64, t diaphone.Token) {
		_, _, err := Put(e.ctx, e.s, phone("d", withTokens(fcmToken("t"), t)), at(now))
		e.no(err, "put")
	}
	has := func(env diaphone.Environment, when string) {
		d := e.device(app, "d")
		equal(e, len(d.Tokens), 2, "tokens, %s", when)
		equal(e, d.Tokens[1].Environment, env, "environment, %s", when)
	}
	put(10, token("aa", ""))
	for what, m := range map[string]storage.Move{
		"registered after": {Device: "d", Token: token("aa", ""), To: diaphone.Sandbox, Since: at(9.999)},
		"another value":    {Device: "d", Token: token("bb", ""), To: diaphone.Sandbox, Since: at(99)},
		"an unknown one":   {Device: "nobody", Token: token("aa", ""), To: diaphone.Sandbox, Since: at(99)},
	} {
		settle(20, m)
		has("", what)
	}
	settle(20, storage.Move{Device: "d", Token: token("aa", ""), To: diaphone.Sandbox, Since: at(10)})
	has(diaphone.Sandbox, "moved")
	equal(e, e.device(app, "d").Tokens[1].RegisteredAt, at(10), "registered at")
	put(40, token("aa", diaphone.Production))
	has(diaphone.Production, "registered again with one")
	put(50, token("bb", ""))
	has("", "another token")
}

func finishedOnce(e *env) {
	e.crowd(3, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 10)[0]
	for i := range uint32(3) {
		s := e.settle(float64(3+i), storage.Settlement{Batch: &b, Results: []storage.Result{{Index: i, State: diaphone.Delivered}}})
		want := 0
		if i == 2 {
			want = 1
		}
		equal(e, len(s.Finished), want, "messages finished with result %d", i)
	}
	r := e.report(m)
	equal(e, r.FinishedAt, at(5), "finished at")
	equal(e, r.State, diaphone.Finished, "state")
	if next := e.deliveries(m, 10); len(next) != 3 || next[0].RetryAt != (time.Time{}) {
		e.Fatalf("reports %+v", next)
	}
}
