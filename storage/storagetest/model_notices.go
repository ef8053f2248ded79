package storagetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"pgregory.net/rapid"
)

// modelOfNotices does for the logs of webhooks what Model does for the rest.
func modelOfNotices(t *testing.T, open Open) {
	s, reopen := open(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		m := &noticeModel{
			e:      &env{judge: rt, s: s, reopen: reopen, ctx: t.Context()},
			app:    diaphone.AppID(fmt.Sprint("app", round)),
			stands: map[storage.Stand]bool{},
		}
		for _, name := range []string{"a", "aa", "b"} {
			m.queues = append(m.queues, &modelNotices{id: diaphone.WebhookID{App: m.app, Name: name}})
		}
		defer func() { s = m.e.s }()
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"append":  m.append,
			"done":    m.done,
			"bury":    m.bury,
			"revive":  m.revive,
			"discard": m.discard,
			"sweep":   m.sweep,
			"wait":    func(rt *rapid.T) { m.now += float64(rapid.IntRange(1, 40).Draw(rt, "seconds")) },
			"reopen":  func(*rapid.T) { m.e.s = m.e.reopen() },
		})
	})
}

type noticeModel struct {
	e      *env
	app    diaphone.AppID
	now    float64
	ids    int
	queues []*modelNotices
	stands map[storage.Stand]bool
}

// modelNotices is what the contract says of one queue.
type modelNotices struct {
	id      diaphone.WebhookID
	last    uint64
	pending []storage.QueuedNotice
	dead    []storage.DeadLetter
}

func (q *modelNotices) add(n diaphone.Notice, since time.Time) {
	q.last++
	q.pending = append(q.pending, storage.QueuedNotice{Seq: q.last, Since: since, Notice: n})
}

// cut takes what has numbers up to the given off the front.
func (q *modelNotices) cut(upTo uint64) (front []storage.QueuedNotice) {
	i := 0
	for i < len(q.pending) && q.pending[i].Seq <= upTo {
		i++
	}
	front, q.pending = q.pending[:i], q.pending[i:]
	return front
}

func (m *noticeModel) queue(rt *rapid.T) *modelNotices {
	return rapid.SampledFrom(m.queues).Draw(rt, "queue")
}

func (m *noticeModel) append(rt *rapid.T) {
	var a storage.Append
	for range rapid.IntRange(0, 4).Draw(rt, "notices") {
		m.ids++
		n := diaphone.Notice{
			ID: fmt.Sprint("id", m.ids), At: at(m.now), Kind: rapid.SampledFrom(diaphone.NoticeKinds()).Draw(rt, "kind"),
			Channel: diaphone.ChannelName(rapid.StringN(0, 5, -1).Draw(rt, "channel")), Count: rapid.IntRange(0, 1<<31-1).Draw(rt, "count"),
		}
		to := storage.AddressedNotice{Notice: n}
		for _, q := range rapid.SliceOfNDistinct(rapid.SampledFrom(m.queues), 0, 3, rapid.ID).Draw(rt, "to") {
			to.Webhooks = append(to.Webhooks, q.id)
			q.add(n, n.At)
		}
		a.Notices = append(a.Notices, to)
	}
	a.Begun, a.Ended = m.drawStands(rt, "begun"), m.drawStands(rt, "ended")
	m.e.append(a)
	for _, s := range a.Begun {
		m.stands[s] = true
	}
	for _, s := range a.Ended {
		delete(m.stands, s)
	}
}

func (m *noticeModel) drawStands(rt *rapid.T, label string) (list []storage.Stand) {
	for range rapid.IntRange(0, 2).Draw(rt, label) {
		list = append(list, storage.Stand{
			App:     m.app,
			Channel: rapid.SampledFrom([]diaphone.ChannelName{"c", "d"}).Draw(rt, "channel"),
			User:    rapid.SampledFrom([]diaphone.UserID{"", "ana", "ben"}).Draw(rt, "user"),
		})
	}
	return list
}

func (m *noticeModel) number(rt *rapid.T, q *modelNotices) uint64 {
	return uint64(rapid.IntRange(0, int(q.last)+1).Draw(rt, "number"))
}

func (m *noticeModel) done(rt *rapid.T) {
	q := m.queue(rt)
	upTo := m.number(rt, q)
	m.e.no(m.e.s.Done(m.e.ctx, q.id, upTo), "done")
	q.cut(upTo)
}

func (m *noticeModel) bury(rt *rapid.T) {
	q := m.queue(rt)
	upTo := m.number(rt, q)
	m.e.no(m.e.s.Bury(m.e.ctx, q.id, upTo, "reason", at(m.now)), "bury")
	for _, n := range q.cut(upTo) {
		q.dead = append(q.dead, storage.DeadLetter{QueuedNotice: n, Reason: "reason", Buried: at(m.now)})
	}
}

// some draws numbers, or nil for all.
func (m *noticeModel) some(rt *rapid.T, q *modelNotices) []uint64 {
	if rapid.Bool().Draw(rt, "all") {
		return nil
	}
	return append([]uint64{}, rapid.SliceOfN(rapid.Uint64Range(0, q.last+1), 0, 5).Draw(rt, "numbers")...)
}

// pick takes the dead letters with the numbers away.
func (q *modelNotices) pick(seqs []uint64) (picked []storage.DeadLetter) {
	var rest []storage.DeadLetter
	for _, l := range q.dead {
		if seqs == nil || slices.Contains(seqs, l.Seq) {
			picked = append(picked, l)
		} else {
			rest = append(rest, l)
		}
	}
	q.dead = rest
	return picked
}

func (m *noticeModel) revive(rt *rapid.T) {
	q := m.queue(rt)
	seqs := m.some(rt, q)
	n, more, err := m.e.s.Revive(m.e.ctx, q.id, seqs, at(m.now))
	m.e.no(err, "revive")
	picked := q.pick(seqs)
	equal(m.e, fmt.Sprint(n, more), fmt.Sprint(len(picked), false), "revived")
	for _, l := range picked {
		q.add(l.Notice, at(m.now))
	}
}

func (m *noticeModel) discard(rt *rapid.T) {
	q := m.queue(rt)
	seqs := m.some(rt, q)
	n, more, err := m.e.s.Discard(m.e.ctx, q.id, seqs)
	m.e.no(err, "discard")
	equal(m.e, fmt.Sprint(n, more), fmt.Sprint(len(q.pick(seqs)), false), "discarded")
}

// sweep keeps the queues of other rounds, and one of this round's or none.
func (m *noticeModel) sweep(rt *rapid.T) {
	before := at(m.now - float64(rapid.IntRange(0, 60).Draw(rt, "age")))
	kept := m.queue(rt)
	queues, err := m.e.s.Queues(m.e.ctx, "")
	m.e.no(err, "queues")
	keep := []diaphone.WebhookID{kept.id}
	for _, q := range queues {
		if q.Webhook.App != m.app {
			keep = append(keep, q.Webhook)
		}
	}
	for more := true; more; {
		_, more, err = m.e.s.SweepNotices(m.e.ctx, before, keep, 2)
		m.e.no(err, "sweep")
	}
	for _, q := range m.queues {
		for len(q.dead) > 0 && q.dead[0].Buried.Before(before) {
			q.dead = q.dead[1:]
		}
		for q != kept && len(q.pending) > 0 && q.pending[0].Since.Before(before) {
			q.pending = q.pending[1:]
		}
	}
}

// compare holds everything against the model.
func (m *noticeModel) compare(*rapid.T) {
	for _, q := range m.queues {
		want := storage.NoticeQueue{}
		if q.last > 0 {
			want = storage.NoticeQueue{Webhook: q.id, Pending: int64(len(q.pending)), Dead: int64(len(q.dead)), Last: q.last, Oldest: oldest(q.pending)}
		}
		equal(m.e, m.e.queue(q.id), want, "state of %s", q.id)
		front, err := m.e.s.Front(m.e.ctx, q.id, 1<<20)
		m.e.no(err, "front")
		if !slices.Equal(front, q.pending) {
			m.e.Fatalf("queue %s: got %v, want %v", q.id, front, q.pending)
		}
		dead, _, err := m.e.s.DeadLetters(m.e.ctx, q.id, storage.Page{Limit: storage.MaxPage})
		m.e.no(err, "dead letters")
		if !slices.Equal(dead, q.dead) {
			m.e.Fatalf("dead letters of %s: got %v, want %v", q.id, dead, q.dead)
		}
	}
	standing := m.e.standing(m.app, 2)
	equal(m.e, len(standing), len(m.stands), "standing")
	for _, s := range standing {
		equal(m.e, m.stands[s], true, "%v stands", s)
	}
}

func oldest(pending []storage.QueuedNotice) time.Time {
	if len(pending) == 0 {
		return time.Time{}
	}
	return pending[0].Since
}
