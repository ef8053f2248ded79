package storagetest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"pgregory.net/rapid"
)

// free tells whether a claim may take the delivery now.
func (m *model) free(d *modelDelivery, lane diaphone.Lane) bool {
	return d.state == diaphone.Pending && d.lane == lane && d.due <= m.now && (d.out == nil || d.out.until <= m.now)
}

func (m *model) claim(rt *rapid.T) {
	lane := fcmLane(m.app)
	if rapid.Bool().Draw(rt, "apns") {
		lane = apnsLane(m.app)
	}
	m.take(lane, rapid.SampledFrom([]int{1, 2, 100}).Draw(rt, "n"))
}

// take claims and compares with what the model has on offer.
func (m *model) take(lane diaphone.Lane, n int) []*modelBatch {
	offered := map[string]*modelDelivery{}
	for _, msg := range m.messages {
		for _, d := range msg.deliveries {
			if m.free(d, lane) {
				offered[string(msg.ID)+"/"+string(d.device)] = d
			}
		}
	}
	var taken []*modelBatch
	got := 0
	for _, b := range m.e.claim(lane, m.now, n) {
		if got >= n {
			m.e.Fatalf("asked for %d deliveries, got %d and another batch", n, got)
		}
		equal(m.e, b.Cancelled, m.message(b.Message.ID).cancelled, "cancelled: %s", b.Message.ID)
		mb := &modelBatch{Batch: b, until: m.now + lease.Seconds(), rest: map[uint32]*modelDelivery{}}
		for _, it := range b.Items {
			name := string(b.Message.ID) + "/" + string(it.Device)
			d := offered[name]
			if d == nil {
				m.e.Fatalf("claimed %s, which is not on offer", name)
			}
			equal(m.e, it.Tries, d.tries, "tries of %s", name)
			delete(offered, name)
			d.out = mb
			mb.rest[it.Index] = d
			got++
		}
		m.batches = append(m.batches, mb)
		m.current[b.Key] = mb
		taken = append(taken, mb)
	}
	if got < n && len(offered) > 0 {
		m.e.Fatalf("asked for %d, got %d, left: %v", n, got, slices.Collect(maps.Keys(offered)))
	}
	return taken
}

func (m *model) settle(rt *rapid.T) {
	if len(m.batches) == 0 {
		rt.Skip("nothing was claimed")
	}
	b := rapid.SampledFrom(m.batches).Draw(rt, "batch")
	work := storage.Settlement{Batch: &b.Batch, Release: rapid.Bool().Draw(rt, "release")}
	forgotten := 0
	for _, it := range b.Items {
		if b.rest[it.Index] == nil || rapid.Bool().Draw(rt, "leave out") {
			continue
		}
		r := storage.Result{Index: it.Index, Tries: it.Tries + 1}
		r.State = rapid.SampledFrom([]diaphone.State{diaphone.Pending, diaphone.Delivered, diaphone.Failed, diaphone.Expired, diaphone.Suppressed, diaphone.Cancelled}).Draw(rt, "state")
		if r.State == diaphone.Pending {
			r.RetryAt = at(m.now + float64(rapid.IntRange(0, 30).Draw(rt, "retry in")))
		}
		if r.State == diaphone.Failed {
			r.Forget = &storage.Forget{Device: it.Device, Token: fcmToken(rapid.SampledFrom([]string{"t1", "t2"}).Draw(rt, "dead")), Since: at(m.now - float64(rapid.IntRange(0, 30).Draw(rt, "dead for"))), Reason: "Unregistered"}
		}
		work.Results = append(work.Results, r)
	}
	settled := m.e.settle(m.now, work)
	if m.current[b.Key] != b {
		equal(m.e, fmt.Sprint(len(settled.Fenced), len(settled.Finished), settled.Forgotten), "1 0 0", "a settle behind the fence")
		return
	}
	equal(m.e, len(settled.Fenced), 0, "fenced")
	for _, r := range work.Results {
		d := b.rest[r.Index]
		delete(b.rest, r.Index)
		d.state, d.tries, d.out = r.State, r.Tries, nil
		if r.State == diaphone.Pending && m.message(b.Message.ID).cancelled {
			d.state = diaphone.Cancelled
		} else if r.State == diaphone.Pending {
			d.due = seconds(r.RetryAt)
		}
		forgotten += m.forget(r.Forget)
	}
	equal(m.e, settled.Forgotten, forgotten, "tokens forgotten")
	b.until = m.now + lease.Seconds()
	if work.Release {
		for _, d := range b.rest {
			d.out = nil
		}
	}
	if work.Release || len(b.rest) == 0 {
		delete(m.current, b.Key)
	}
}

func (m *model) forget(f *storage.Forget) int {
	if f == nil || m.devices[f.Device] == nil {
		return 0
	}
	for i := range m.devices[f.Device].Tokens {
		t := &m.devices[f.Device].Tokens[i]
		if t.Kind == f.Token.Kind && t.Value == f.Token.Value && t.Active() && !t.RegisteredAt.After(f.Since) {
			t.GoneAt, t.GoneReason = f.Since, f.Reason
			return 1
		}
	}
	return 0
}

// restart opens the store again: leases are gone, all else is there.
func (m *model) restart(*rapid.T) {
	m.e.s = m.e.reopen()
	m.current = map[string]*modelBatch{}
	for _, msg := range m.messages {
		for _, d := range msg.deliveries {
			d.out = nil
		}
	}
}

// compare holds the whole store against the model.
func (m *model) compare(*rapid.T) {
	list, _, err := m.e.s.ListDevices(m.e.ctx, m.app, "", storage.Page{Limit: storage.MaxPage})
	m.e.no(err, "list")
	equal(m.e, len(list), len(m.devices), "devices")
	n, err := m.e.s.CountDevices(m.e.ctx, m.app)
	m.e.no(err, "count")
	equal(m.e, n, len(m.devices), "devices counted")
	byUsers := map[diaphone.UserID]int{}
	for i := range list {
		want := m.devices[list[i].ID]
		if want == nil {
			m.e.Fatalf("device %s should not be there", list[i].ID)
		}
		m.sameDevice(&list[i], want)
		byUsers[want.User]++
	}
	for _, u := range []diaphone.UserID{"ana", "ben"} {
		list, _, err := m.e.s.ListDevices(m.e.ctx, m.app, u, storage.Page{Limit: storage.MaxPage})
		m.e.no(err, "list of a user")
		equal(m.e, len(list), byUsers[u], "devices of %s", u)
	}
	var pending, scheduled int64
	for _, msg := range m.messages {
		want := diaphone.Counts{}
		for _, d := range msg.deliveries {
			want.Accepted++
			*want.Of(d.state)++
			one, err := m.e.s.Delivery(m.e.ctx, m.app, msg.ID, d.device)
			m.e.no(err, "delivery of %s to %s", msg.ID, d.device)
			equal(m.e, fmt.Sprint(one.Device, one.State), fmt.Sprint(d.device, d.state), "delivery of %s", msg.ID)
		}
		pending += want.Pending
		if msg.scheduled {
			scheduled++
		}
		got := m.e.report(msg.Message)
		equal(m.e, got.Counts, want, "counts of %s", msg.ID)
		equal(m.e, got.State == diaphone.Scheduled, msg.scheduled, "%s is scheduled", msg.ID)
		equal(m.e, got.State == diaphone.Finished, msg.planned && want.Pending == 0, "%s is finished", msg.ID)
	}
	gotPending, gotScheduled := m.e.s.Backlog(m.app)
	equal(m.e, fmt.Sprint(gotPending, gotScheduled), fmt.Sprint(pending, scheduled), "backlog")
	refs, err := m.e.s.Unplanned(m.e.ctx, 1<<20)
	m.e.no(err, "unplanned")
	for _, msg := range m.messages {
		listed := slices.Contains(refs, storage.Ref{App: m.app, ID: msg.ID})
		equal(m.e, listed, !msg.planned && !msg.scheduled, "%s is listed as unplanned", msg.ID)
	}
}

// drain brings everything to its end: nothing may be stuck.
func (m *model) drain() {
	for _, msg := range m.messages {
		if msg.scheduled {
			m.startIt(msg)
		}
		for !msg.planned {
			done, _, err := m.e.s.Plan(m.e.ctx, m.app, msg.ID, route)
			m.e.no(err, "plan")
			m.learn(msg, done)
		}
	}
	m.now = m.settled()
	for _, lane := range []diaphone.Lane{apnsLane(m.app), fcmLane(m.app)} {
		for _, b := range m.take(lane, 1<<20) {
			m.e.settle(m.now, all(&b.Batch, diaphone.Delivered))
			for _, d := range b.rest {
				d.state = diaphone.Delivered
			}
		}
	}
	for _, msg := range m.messages {
		equal(m.e, m.e.report(msg.Message).State, diaphone.Finished, "state of %s", msg.ID)
	}
}
