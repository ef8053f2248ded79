package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func noticeTests() []test {
	return []test{
		{"kept whole", noticesWhole},
		{"each queue has its own numbers", queueNumbers},
		{"the numbers have no gap", numbersWithoutGap},
		{"done and buried up to a number", takeOff},
		{"the dead letters in pages", deadPages},
		{"revived at the end", revive},
		{"many dead letters", manyDead},
		{"discarded", discard},
		{"sweep", sweepNotices},
		{"standing", standing},
		{"standing in pages", standingPages},
		{"many at once", appendTogether},
	}
}

var hook = diaphone.WebhookID{App: app, Name: "backend"}

// notice is one of a channel; its id says which.
func notice(id string, second float64) diaphone.Notice {
	return diaphone.Notice{ID: id, At: at(second), Kind: diaphone.ChannelOccupied, Channel: "news"}
}

func (e *env) append(a storage.Append) {
	e.Helper()
	e.no(e.s.Append(e.ctx, a), "append")
}

// tell appends notices with these ids for one webhook.
func (e *env) tell(to diaphone.WebhookID, second float64, ids ...string) {
	e.Helper()
	var a storage.Append
	for _, id := range ids {
		a.Notices = append(a.Notices, storage.AddressedNotice{Notice: notice(id, second), Webhooks: []diaphone.WebhookID{to}})
	}
	e.append(a)
}

// front gives the first n of a queue as "number:id".
func (e *env) front(id diaphone.WebhookID, n int) []string {
	e.Helper()
	front, err := e.s.Front(e.ctx, id, n)
	e.no(err, "front")
	out := make([]string, len(front))
	for i, q := range front {
		out[i] = fmt.Sprintf("%d:%s", q.Seq, q.Notice.ID)
	}
	return out
}

// dead gives all dead letters as "number:id".
func (e *env) dead(id diaphone.WebhookID, limit int) (out []string) {
	e.Helper()
	for cursor := ""; ; {
		page, next, err := e.s.DeadLetters(e.ctx, id, storage.Page{Cursor: cursor, Limit: limit})
		e.no(err, "dead letters")
		if len(page) > limit {
			e.Fatalf("a page of %d has %d dead letters", limit, len(page))
		}
		for _, l := range page {
			out = append(out, fmt.Sprintf("%d:%s", l.Seq, l.Notice.ID))
		}
		if next == "" {
			return out
		}
		cursor = next
	}
}

func (e *env) queue(id diaphone.WebhookID) storage.NoticeQueue {
	e.Helper()
	queues, err := e.s.Queues(e.ctx, id.App)
	e.no(err, "queues")
	i := slices.IndexFunc(queues, func(q storage.NoticeQueue) bool { return q.Webhook == id })
	if i < 0 {
		return storage.NoticeQueue{}
	}
	return queues[i]
}

func list(e *env, got []string, what string, want ...string) {
	e.Helper()
	if !slices.Equal(got, want) {
		e.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func noticesWhole(e *env) {
	want := []diaphone.Notice{
		{ID: "9f1c2f8e-6a5d-4f6e-9d43-1d0c8f4e7a10", At: at(1.5), Kind: diaphone.ClientEvent, Channel: "presence-chat", User: "ana", Socket: "1.2", Event: "client-typing", Data: `{"a":"ü"}`},
		{ID: "Mixed-Case_7", At: at(2), Kind: diaphone.MemberRemoved, Channel: "presence-chat", User: "ben"},
		{ID: "0", At: at(2), Kind: diaphone.SubscriptionCount, Channel: "news", Count: 70000},
		{ID: "", At: at(3), Kind: "of_a_later_time", Channel: ""},
	}
	var a storage.Append
	for _, n := range want {
		a.Notices = append(a.Notices, storage.AddressedNotice{Notice: n, Webhooks: []diaphone.WebhookID{hook}})
	}
	e.append(a)
	for _, when := range []string{"at once", "after reopening"} {
		front, err := e.s.Front(e.ctx, hook, 10)
		e.no(err, "front")
		equal(e, len(front), len(want), "notices")
		for i, q := range front {
			if q.Seq != uint64(i+1) || !q.Since.Equal(want[i].At) || !reflect.DeepEqual(q.Notice, want[i]) {
				e.Fatalf("%s: got %+v, want %+v", when, q, want[i])
			}
		}
		e.s = e.reopen()
	}
	e.no(e.s.Bury(e.ctx, hook, 4, "500 Internal Server Error", at(90000.25)), "bury")
	letters, next, err := e.s.DeadLetters(e.ctx, hook, storage.Page{Limit: 4})
	e.no(err, "dead letters")
	equal(e, next, "", "next")
	for i, l := range letters {
		whole := storage.DeadLetter{QueuedNotice: storage.QueuedNotice{Seq: uint64(i + 1), Since: want[i].At, Notice: want[i]}, Reason: "500 Internal Server Error", Buried: at(90000.25)}
		if !reflect.DeepEqual(l, whole) {
			e.Fatalf("got %+v, want %+v", l, whole)
		}
	}
}

func queueNumbers(e *env) {
	second := diaphone.WebhookID{App: app, Name: "second"}
	foreign := diaphone.WebhookID{App: other, Name: hook.Name}
	e.append(storage.Append{Notices: []storage.AddressedNotice{
		{Notice: notice("a", 1), Webhooks: []diaphone.WebhookID{hook, second}},
		{Notice: notice("b", 2), Webhooks: []diaphone.WebhookID{second}},
		{Notice: notice("c", 3), Webhooks: nil},
		{Notice: notice("d", 4), Webhooks: []diaphone.WebhookID{foreign, second, hook}},
	}})
	list(e, e.front(hook, 10), "first webhook", "1:a", "2:d")
	list(e, e.front(second, 10), "second webhook", "1:a", "2:b", "3:d")
	list(e, e.front(second, 2), "two of it", "1:a", "2:b")
	list(e, e.front(foreign, 10), "another app's", "1:d")
	list(e, e.front(diaphone.WebhookID{App: app, Name: "back"}, 10), "a beginning of a name")
	all, err := e.s.Queues(e.ctx, "")
	e.no(err, "queues")
	equal(e, len(all), 3, "queues of all apps")
	of, err := e.s.Queues(e.ctx, other)
	e.no(err, "queues")
	equal(e, len(of), 1, "queues of the other app")
	equal(e, of[0], storage.NoticeQueue{Webhook: foreign, Pending: 1, Last: 1, Oldest: at(4)}, "state")
	e.no(e.s.Done(e.ctx, second, 2), "done")
	equal(e, e.queue(second), storage.NoticeQueue{Webhook: second, Pending: 1, Last: 3, Oldest: at(4)}, "state")
	equal(e, e.queue(hook).Pending, 2, "pending of the first")
}

func numbersWithoutGap(e *env) {
	last := uint64(0)
	for round := range 4 {
		e.tell(hook, float64(round), "a", "b", "c")
		front, err := e.s.Front(e.ctx, hook, 10)
		e.no(err, "front")
		for _, q := range front {
			last++
			equal(e, q.Seq, last, "number in round %d", round)
		}
		if round%2 == 0 {
			e.no(e.s.Done(e.ctx, hook, last), "done")
		} else {
			e.no(e.s.Bury(e.ctx, hook, last, "gone", at(9)), "bury")
		}
		if round == 1 {
			_, _, err := e.s.Discard(e.ctx, hook, nil)
			e.no(err, "discard")
		}
		equal(e, e.queue(hook).Last, last, "last number")
		e.s = e.reopen()
	}
}

func takeOff(e *env) {
	e.no(e.s.Done(e.ctx, hook, 5), "done with a queue that is not there")
	e.no(e.s.Bury(e.ctx, hook, 5, "x", at(1)), "bury of a queue that is not there")
	equal(e, e.queue(hook), storage.NoticeQueue{}, "a queue made by nothing")
	ids := make([]string, 2500)
	for i := range ids {
		ids[i] = fmt.Sprint("n", i+1)
	}
	e.tell(hook, 1, ids...)
	e.no(e.s.Done(e.ctx, hook, 20), "done")
	list(e, e.front(hook, 1), "front", "21:n21")
	e.no(e.s.Done(e.ctx, hook, 3), "done again")
	e.no(e.s.Bury(e.ctx, hook, 22, "410", at(2)), "bury")
	list(e, e.front(hook, 2), "front", "23:n23", "24:n24")
	list(e, e.dead(hook, 10), "dead", "21:n21", "22:n22")
	e.no(e.s.Done(e.ctx, hook, 1200), "done with many")
	equal(e, e.queue(hook), storage.NoticeQueue{Webhook: hook, Pending: 1300, Dead: 2, Last: 2500, Oldest: at(1)}, "state")
	e.no(e.s.Bury(e.ctx, hook, 1<<40, "410", at(3)), "bury all")
	equal(e, e.queue(hook), storage.NoticeQueue{Webhook: hook, Dead: 1302, Last: 2500}, "state")
	equal(e, len(e.dead(hook, storage.MaxPage)), 1302, "dead letters")
}

func deadPages(e *env) {
	e.tell(hook, 1, "a", "b", "c", "d", "e")
	e.no(e.s.Bury(e.ctx, hook, 5, "x", at(2)), "bury")
	want := []string{"1:a", "2:b", "3:c", "4:d", "5:e"}
	for _, limit := range []int{1, 2, 4, 5, 100} {
		list(e, e.dead(hook, limit), fmt.Sprint("in pages of ", limit), want...)
	}
	_, next, err := e.s.DeadLetters(e.ctx, hook, storage.Page{Limit: 2})
	e.no(err, "dead letters")
	for _, cursor := range []string{"x", next + "A"} {
		_, _, err := e.s.DeadLetters(e.ctx, hook, storage.Page{Cursor: cursor, Limit: 2})
		e.pointsAtCursor(err, cursor)
	}
	_, _, err = e.s.DeadLetters(e.ctx, diaphone.WebhookID{App: other, Name: hook.Name}, storage.Page{Cursor: next, Limit: 2})
	e.pointsAtCursor(err, next)
	_, _, err = e.s.DeadLetters(e.ctx, hook, storage.Page{})
	e.code(err, diaphone.Invalid, "a limit of nothing")
	// A page goes on where it was, whatever has become of what it gave.
	_, _, err = e.s.Discard(e.ctx, hook, []uint64{1, 2, 3})
	e.no(err, "discard")
	page, _, err := e.s.DeadLetters(e.ctx, hook, storage.Page{Cursor: next, Limit: 2})
	e.no(err, "the next page")
	equal(e, page[0].Seq, 4, "first of the next page")
}

func revive(e *env) {
	e.tell(hook, 1, "a", "b", "c", "d")
	e.no(e.s.Bury(e.ctx, hook, 3, "x", at(2)), "bury")
	n, more, err := e.s.Revive(e.ctx, hook, []uint64{3, 77, 1, 3, 4}, at(50))
	e.no(err, "revive")
	equal(e, fmt.Sprint(n, more), "2 false", "revived")
	list(e, e.front(hook, 10), "queue", "4:d", "5:a", "6:c")
	list(e, e.dead(hook, 10), "dead", "2:b")
	equal(e, e.queue(hook), storage.NoticeQueue{Webhook: hook, Pending: 3, Dead: 1, Last: 6, Oldest: at(1)}, "state")
	n, more, err = e.s.Revive(e.ctx, hook, []uint64{}, at(51))
	e.no(err, "revive none")
	equal(e, fmt.Sprint(n, more), "0 false", "revived")
	n, more, err = e.s.Revive(e.ctx, hook, nil, at(52))
	e.no(err, "revive all")
	equal(e, fmt.Sprint(n, more), "1 false", "revived")
	list(e, e.front(hook, 10), "queue", "4:d", "5:a", "6:c", "7:b")
	front, err := e.s.Front(e.ctx, hook, 10)
	e.no(err, "front")
	for i, since := range []time.Time{at(1), at(50), at(50), at(52)} {
		equal(e, front[i].Since, since, "since when number %d waits", front[i].Seq)
		equal(e, front[i].Notice.At, at(1), "when number %d happened", front[i].Seq)
	}
	e.no(e.s.Done(e.ctx, hook, 4), "done")
	equal(e, e.queue(hook).Oldest, at(50), "since when the first waits")
	removed, more, err := e.s.SweepNotices(e.ctx, at(51), nil, 10)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "2 false", "swept")
	n, more, err = e.s.Revive(e.ctx, diaphone.WebhookID{App: app, Name: "none"}, nil, at(52))
	e.no(err, "revive nothing")
	equal(e, fmt.Sprint(n, more), "0 false", "revived")
}

func manyDead(e *env) {
	ids := make([]string, storage.MaxPage+3)
	numbers := make([]uint64, len(ids))
	for i := range ids {
		ids[i], numbers[i] = fmt.Sprint("n", i+1), uint64(i+1)
	}
	e.tell(hook, 1, ids...)
	e.no(e.s.Bury(e.ctx, hook, uint64(len(ids)), "x", at(2)), "bury")
	for i, seqs := range [][]uint64{numbers, nil} {
		n, more, err := e.s.Revive(e.ctx, hook, seqs, at(3))
		e.no(err, "revive")
		equal(e, fmt.Sprint(n, more), fmt.Sprint(storage.MaxPage, true), "revived at first")
		n, more, err = e.s.Revive(e.ctx, hook, seqs, at(3))
		e.no(err, "revive")
		equal(e, fmt.Sprint(n, more), "3 false", "revived at second")
		first := uint64(len(ids)*(i+1) + 1)
		list(e, e.front(hook, 1), "front", fmt.Sprintf("%d:n1", first))
		e.no(e.s.Bury(e.ctx, hook, 1<<40, "x", at(2)), "bury")
	}
	n, more, err := e.s.Discard(e.ctx, hook, nil)
	e.no(err, "discard")
	equal(e, fmt.Sprint(n, more), fmt.Sprint(storage.MaxPage, true), "discarded at first")
	n, more, err = e.s.Discard(e.ctx, hook, nil)
	e.no(err, "discard")
	equal(e, fmt.Sprint(n, more), "3 false", "discarded at second")
	equal(e, e.queue(hook).Dead, 0, "dead")
}

func discard(e *env) {
	e.tell(hook, 1, "a", "b", "c", "d")
	e.no(e.s.Bury(e.ctx, hook, 3, "x", at(2)), "bury")
	n, more, err := e.s.Discard(e.ctx, hook, []uint64{2, 4, 2})
	e.no(err, "discard")
	equal(e, fmt.Sprint(n, more), "1 false", "discarded")
	list(e, e.dead(hook, 10), "dead", "1:a", "3:c")
	list(e, e.front(hook, 10), "queue", "4:d")
	n, _, err = e.s.Discard(e.ctx, hook, []uint64{})
	e.no(err, "discard none")
	equal(e, n, 0, "discarded")
	n, _, err = e.s.Discard(e.ctx, hook, nil)
	e.no(err, "discard all")
	equal(e, n, 2, "discarded")
	equal(e, e.queue(hook), storage.NoticeQueue{Webhook: hook, Pending: 1, Last: 4, Oldest: at(1)}, "state")
}

func sweepNotices(e *env) {
	stray := diaphone.WebhookID{App: app, Name: "stray"}
	namesake := diaphone.WebhookID{App: other, Name: hook.Name}
	for i := range 6 {
		for _, to := range []diaphone.WebhookID{hook, stray, namesake} {
			e.tell(to, float64(i), fmt.Sprint("n", i))
		}
	}
	e.no(e.s.Bury(e.ctx, hook, 1, "x", at(3)), "bury")
	e.no(e.s.Bury(e.ctx, hook, 2, "x", at(4)), "bury")
	e.no(e.s.Bury(e.ctx, stray, 1, "x", at(3)), "bury")
	keep := []diaphone.WebhookID{hook, namesake}
	removed, more, err := e.s.SweepNotices(e.ctx, at(4), keep, 3)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "3 true", "first sweep")
	removed, more, err = e.s.SweepNotices(e.ctx, at(4), keep, 3)
	e.no(err, "sweep")
	equal(e, fmt.Sprint(removed, more), "2 false", "second sweep")
	e.s = e.reopen()
	list(e, e.dead(hook, 10), "dead letters", "2:n1")
	list(e, e.front(hook, 10), "a queue that is kept", "3:n2", "4:n3", "5:n4", "6:n5")
	list(e, e.front(namesake, 1), "a queue of the other app", "1:n0")
	list(e, e.front(stray, 10), "a queue that is not", "5:n4", "6:n5")
	equal(e, e.queue(stray), storage.NoticeQueue{Webhook: stray, Pending: 2, Last: 6, Oldest: at(4)}, "state")
	equal(e, e.queue(hook).Dead, 1, "dead")
	removed, more, err = e.s.SweepNotices(e.ctx, at(100), nil, 1<<20)
	e.no(err, "sweep all")
	equal(e, fmt.Sprint(removed, more), "13 false", "last sweep")
	equal(e, e.queue(stray), storage.NoticeQueue{Webhook: stray, Last: 6}, "state of what is empty")
}

func (e *env) standing(a diaphone.AppID, limit int) (all []storage.Stand) {
	e.Helper()
	for cursor := ""; ; {
		page, next, err := e.s.Standing(e.ctx, a, storage.Page{Cursor: cursor, Limit: limit})
		e.no(err, "standing")
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
}

func standing(e *env) {
	occupied := storage.Stand{App: app, Channel: "presence-a"}
	ana := storage.Stand{App: app, Channel: "presence-a", User: "ana"}
	foreign := storage.Stand{App: other, Channel: "presence-a", User: "ana"}
	e.append(storage.Append{Begun: []storage.Stand{occupied, ana, foreign}})
	e.append(storage.Append{Begun: []storage.Stand{ana}, Ended: []storage.Stand{{App: app, Channel: "presence-a", User: "ben"}}})
	e.s = e.reopen()
	if got := e.standing(app, 10); !reflect.DeepEqual(got, []storage.Stand{occupied, ana}) {
		e.Fatalf("standing: %v", got)
	}
	e.append(storage.Append{
		Notices: []storage.AddressedNotice{{Notice: notice("a", 1), Webhooks: []diaphone.WebhookID{hook}}},
		Begun:   []storage.Stand{{App: app, Channel: "b"}, {App: app, Channel: "c"}},
		Ended:   []storage.Stand{ana, {App: app, Channel: "c"}},
	})
	if got := e.standing(app, 10); len(got) != 2 || !slices.Contains(got, occupied) || !slices.Contains(got, storage.Stand{App: app, Channel: "b"}) {
		e.Fatalf("standing: %v", got)
	}
	list(e, e.front(hook, 10), "the notice that came with it", "1:a")
	equal(e, len(e.standing(other, 10)), 1, "standing of the other app")
	for _, limit := range []int{1, 2, 10} {
		all := e.standing("", limit)
		equal(e, len(all), 3, "standing of all apps, in pages of %d", limit)
		equal(e, slices.Contains(all, foreign) && slices.Contains(all, occupied), true, "%v has those of both apps", all)
	}
}

func standingPages(e *env) {
	var a storage.Append
	want := map[storage.Stand]bool{}
	for i := range 25 {
		s := storage.Stand{App: app, Channel: diaphone.ChannelName(fmt.Sprint("c", i%5))}
		if i >= 5 {
			s.User = diaphone.UserID(fmt.Sprint("u", i))
		}
		a.Begun, want[s] = append(a.Begun, s), true
	}
	e.append(a)
	for _, limit := range []int{1, 7, 25, 100} {
		got := e.standing(app, limit)
		equal(e, len(got), len(want), "in pages of %d", limit)
		for _, s := range got {
			equal(e, want[s], true, "%v stands", s)
		}
	}
	_, next, err := e.s.Standing(e.ctx, app, storage.Page{Limit: 1})
	e.no(err, "standing")
	_, _, err = e.s.Standing(e.ctx, other, storage.Page{Cursor: next, Limit: 1})
	e.pointsAtCursor(err, next)
	_, _, err = e.s.Standing(e.ctx, app, storage.Page{Cursor: "x", Limit: 1})
	e.pointsAtCursor(err, "x")
	// What stood at the cursor may end before the next page is read.
	page, _, err := e.s.Standing(e.ctx, app, storage.Page{Limit: 1})
	e.no(err, "standing")
	e.append(storage.Append{Ended: page})
	rest, _, err := e.s.Standing(e.ctx, app, storage.Page{Cursor: next, Limit: 100})
	e.no(err, "standing")
	equal(e, len(rest), 24, "after the first")
}

// appendTogether: many callers, one reader that ends what it takes; nothing is
// lost, out of order or there twice.
func appendTogether(e *env) {
	const callers, each = 8, 25
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				n := storage.AddressedNotice{Notice: notice(fmt.Sprint(c, "/", i), 1), Webhooks: []diaphone.WebhookID{hook}}
				if err := e.s.Append(e.ctx, storage.Append{Notices: []storage.AddressedNotice{n}}); err != nil {
					e.Errorf("append: %v", err)
				}
			}
		})
	}
	next, taken := make([]int, callers), uint64(0)
	for taken < callers*each {
		front, err := e.s.Front(e.ctx, hook, 20)
		e.no(err, "front")
		for _, q := range front {
			taken++
			var c, i int
			_, err := fmt.Sscanf(q.Notice.ID, "%d/%d", &c, &i)
			if err != nil || q.Seq != taken || i != next[c] {
				e.Fatalf("number %d is %d, notice %s; of that caller %d is next (%v)", taken, q.Seq, q.Notice.ID, next[c], err)
			}
			next[c]++
		}
		if len(front) > 0 {
			e.no(e.s.Done(e.ctx, hook, taken), "done")
		}
	}
	all.Wait()
	equal(e, e.queue(hook), storage.NoticeQueue{Webhook: hook, Last: callers * each}, "state")
}
