package storagetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"pgregory.net/rapid"
)

// Model drives the store and a plain Go model of the contract with the same
// random calls and compares them after each. Run runs it; an engine may run it
// again with settings of its own, such as smaller planning pages.
func Model(t *testing.T, open Open) {
	s, reopen := open(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		// Every round is an app of its own: apps do not see each other.
		m := newModel(&env{judge: rt, s: s, reopen: reopen, ctx: t.Context()}, round)
		defer func() { s = m.e.s }()
		rt.Repeat(map[string]func(*rapid.T){
			"":            m.compare,
			"put":         m.put,
			"delete":      m.delete,
			"erase":       m.erase,
			"subscribe":   m.subscribe,
			"unsubscribe": m.unsubscribe,
			"accept":      m.accept,
			"plan":        m.plan,
			"start":       m.start,
			"cancel":      m.cancel,
			"claim":       m.claim,
			"settle":      m.settle,
			"wait":        func(rt *rapid.T) { m.now += float64(rapid.IntRange(1, 40).Draw(rt, "seconds")) },
			"jump":        m.jump,
			"reopen":      m.restart,
		})
		m.drain()
		m.compare(rt)
	})
}

// model is what the contract says there is.
type model struct {
	e        *env
	app      diaphone.AppID
	now      float64 // seconds
	clock    int     // counts memberships and accepts, as the store order does
	devices  map[diaphone.DeviceID]*modelDevice
	messages []*modelMessage
	keys     map[string]*modelMessage // idempotency keys
	batches  []*modelBatch            // ever claimed
	current  map[string]*modelBatch   // by key: who holds it
}

type modelDevice struct {
	diaphone.Device
	since map[string]int // membership → when it began
}

type modelMessage struct {
	*diaphone.Message
	audience   map[string]bool                      // memberships that count
	had        map[diaphone.DeviceID]map[string]int // at the accept
	ever       map[diaphone.DeviceID]bool           // belonged at some time until planning ended
	scheduled  bool
	planned    bool
	cancelled  bool
	deliveries []*modelDelivery
}

type modelDelivery struct {
	device diaphone.DeviceID
	lane   diaphone.Lane
	state  diaphone.State
	tries  int
	due    float64
	out    *modelBatch // nil: in the queue
}

type modelBatch struct {
	storage.Batch
	until float64
	rest  map[uint32]*modelDelivery
}

func newModel(e *env, round int) *model {
	return &model{
		e: e, app: diaphone.AppID(string(rune('a'+round%26)) + time.Duration(round).String()), now: 1,
		devices: map[diaphone.DeviceID]*modelDevice{}, keys: map[string]*modelMessage{}, current: map[string]*modelBatch{},
	}
}

func (m *model) id(rt *rapid.T) diaphone.DeviceID {
	return rapid.SampledFrom([]diaphone.DeviceID{"a", "b", "c", "d", "e", "f"}).Draw(rt, "device")
}

func (m *model) channel(rt *rapid.T) diaphone.ChannelName {
	return rapid.SampledFrom([]diaphone.ChannelName{"news", "sport", "chat"}).Draw(rt, "channel")
}

func onChannel(c diaphone.ChannelName) string { return "channel " + string(c) }
func byUser(u diaphone.UserID) string         { return "user " + string(u) }
func byID(d diaphone.DeviceID) string         { return "device " + string(d) }

// gain notes a membership that begins now.
func (m *model) gain(d *modelDevice, membership string) {
	m.clock++
	d.since[membership] = m.clock
	for _, msg := range m.messages {
		if !msg.planned && msg.audience[membership] {
			msg.ever[d.ID] = true
		}
	}
}

func (m *model) put(rt *rapid.T) {
	d := diaphone.Device{App: m.app, ID: m.id(rt), Platform: diaphone.Android}
	d.User = rapid.SampledFrom([]diaphone.UserID{"", "ana", "ben"}).Draw(rt, "user")
	d.Channels = rapid.SliceOfNDistinct(rapid.SampledFrom([]diaphone.ChannelName{"news", "sport", "chat"}), 0, 3, rapid.ID).Draw(rt, "channels")
	for _, v := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"t1", "t2", "t3", "t4"}), 0, 1, rapid.ID).Draw(rt, "tokens") {
		d.Tokens = append(d.Tokens, fcmToken(v))
	}
	if rapid.Bool().Draw(rt, "apns") {
		d.Tokens = append(d.Tokens, diaphone.Token{Kind: diaphone.TokenAPNs, Value: diaphone.Secret("aa" + string(d.ID))})
	}
	if rapid.Bool().Draw(rt, "secret") {
		d.SecretHash, d.BindsFrom = diaphone.HashToken(string(d.ID)), at(m.now)
	}
	old := m.devices[d.ID]
	stored, created, err := Put(m.e.ctx, m.e.s, d, at(m.now))
	m.e.no(err, "put")
	equal(m.e, created, old == nil, "created")

	next := &modelDevice{Device: d, since: map[string]int{}}
	next.CreatedAt = at(m.now)
	m.devices[d.ID] = next
	if old == nil {
		m.gain(next, byID(d.ID))
	} else {
		next.CreatedAt = old.CreatedAt
		next.since[byID(d.ID)] = old.since[byID(d.ID)]
	}
	for _, membership := range memberships(&d) {
		if since, had := 0, false; old != nil {
			if since, had = old.since[membership]; had {
				next.since[membership] = since
				continue
			}
		}
		m.gain(next, membership)
	}
	for i := range next.Tokens {
		next.Tokens[i].RegisteredAt = at(m.now)
	}
	for id, o := range m.devices {
		if o != next && slices.ContainsFunc(o.Tokens, func(t diaphone.Token) bool {
			return slices.ContainsFunc(next.Tokens, func(n diaphone.Token) bool { return n.Kind == t.Kind && n.Value == t.Value })
		}) {
			delete(m.devices, id)
		}
	}
	m.sameDevice(&stored, next)
}

func memberships(d *diaphone.Device) (list []string) {
	if d.User != "" {
		list = append(list, byUser(d.User))
	}
	for _, c := range d.Channels {
		list = append(list, onChannel(c))
	}
	return list
}

func (m *model) sameDevice(got *diaphone.Device, want *modelDevice) {
	m.e.Helper()
	g, w := *got, want.Device
	g.Channels, w.Channels = slices.Sorted(slices.Values(g.Channels)), slices.Sorted(slices.Values(w.Channels))
	ok := same(g, w) && g.CreatedAt.Equal(w.CreatedAt)
	for i := range w.Tokens {
		ok = ok && g.Tokens[i].RegisteredAt.Equal(w.Tokens[i].RegisteredAt)
	}
	if !ok {
		m.e.Fatalf("device %s: got %+v, want %+v", want.ID, g, w)
	}
}

func (m *model) delete(rt *rapid.T) {
	id := m.id(rt)
	err := m.e.s.DeleteDevice(m.e.ctx, m.app, id)
	equal(m.e, err == nil, m.devices[id] != nil, "delete of %s", id)
	delete(m.devices, id)
}

func (m *model) erase(rt *rapid.T) {
	user := rapid.SampledFrom([]diaphone.UserID{"ana", "ben"}).Draw(rt, "user")
	removed, more, err := m.e.s.EraseUser(m.e.ctx, m.app, user, 100)
	m.e.no(err, "erase")
	before := len(m.devices)
	maps.DeleteFunc(m.devices, func(_ diaphone.DeviceID, d *modelDevice) bool { return d.User == user })
	equal(m.e, removed, before-len(m.devices), "devices erased")
	equal(m.e, more, false, "more")
}

func (m *model) subscribe(rt *rapid.T) {
	id, c := m.id(rt), m.channel(rt)
	err := Join(m.e.ctx, m.e.s, m.app, id, c)
	d := m.devices[id]
	equal(m.e, err == nil, d != nil, "subscribe of %s", id)
	if d != nil && !slices.Contains(d.Channels, c) {
		d.Channels = append(slices.Clone(d.Channels), c)
		m.gain(d, onChannel(c))
	}
}

func (m *model) unsubscribe(rt *rapid.T) {
	id, c := m.id(rt), m.channel(rt)
	err := Leave(m.e.ctx, m.e.s, m.app, id, c)
	d := m.devices[id]
	equal(m.e, err == nil, d != nil, "unsubscribe of %s", id)
	if d != nil {
		d.Channels = slices.DeleteFunc(slices.Clone(d.Channels), func(have diaphone.ChannelName) bool { return have == c })
		delete(d.since, onChannel(c))
	}
}

func (m *model) accept(rt *rapid.T) {
	to := diaphone.Audience{
		Users:    rapid.SliceOfNDistinct(rapid.SampledFrom([]diaphone.UserID{"ana", "ben", "cid"}), 0, 2, rapid.ID).Draw(rt, "to users"),
		Devices:  rapid.SliceOfN(rapid.SampledFrom([]diaphone.DeviceID{"a", "b", "x"}), 0, 2).Draw(rt, "to devices"),
		Channels: rapid.SliceOfNDistinct(rapid.SampledFrom([]diaphone.ChannelName{"news", "sport"}), 0, 2, rapid.ID).Draw(rt, "to channels"),
	}
	msg := &modelMessage{Message: m.e.message(m.now, to), audience: map[string]bool{}, had: map[diaphone.DeviceID]map[string]int{}, ever: map[diaphone.DeviceID]bool{}}
	msg.App = m.app
	if msg.scheduled = rapid.IntRange(0, 3).Draw(rt, "later") == 3; msg.scheduled {
		msg.SendAt = at(m.now + 20)
	}
	key := rapid.SampledFrom([]string{"", "", "k1", "k2"}).Draw(rt, "key")
	a, err := m.e.s.Accept(m.e.ctx, msg.Message, storage.Idempotency{Key: key}, route)
	m.e.no(err, "accept")
	if first := m.keys[key]; first != nil {
		equal(m.e, a.Replayed, true, "replayed")
		equal(m.e, a.ID, first.ID, "id of a replay")
		return
	}
	equal(m.e, a.Replayed, false, "replayed")
	if key != "" {
		m.keys[key] = msg
	}
	for _, u := range to.Users {
		msg.audience[byUser(u)] = true
	}
	for _, d := range to.Devices {
		msg.audience[byID(d)] = true
	}
	for _, c := range to.Channels {
		msg.audience[onChannel(c)] = true
	}
	m.messages = append(m.messages, msg)
	if msg.scheduled {
		return
	}
	m.begin(msg)
	m.learn(msg, a.Planned)
}

// begin notes who belongs to the audience when it begins to count.
func (m *model) begin(msg *modelMessage) {
	for id, d := range m.devices {
		for membership := range msg.audience {
			if since, has := d.since[membership]; has {
				if msg.had[id] == nil {
					msg.had[id] = map[string]int{}
				}
				msg.had[id][membership] = since
				msg.ever[id] = true
			}
		}
	}
}

func (m *model) plan(rt *rapid.T) {
	var open []*modelMessage
	for _, msg := range m.messages {
		if !msg.planned && !msg.scheduled {
			open = append(open, msg)
		}
	}
	if len(open) == 0 {
		rt.Skip("nothing to plan")
	}
	msg := rapid.SampledFrom(open).Draw(rt, "message")
	done, _, err := m.e.s.Plan(m.e.ctx, m.app, msg.ID, route)
	m.e.no(err, "plan")
	m.learn(msg, done)
}

// learn takes over what a step has planned: the contract leaves some of it open.
// Once planning is done it judges the whole.
func (m *model) learn(msg *modelMessage, done bool) {
	all := m.e.deliveries(msg.Message, 3)
	for _, r := range all[len(msg.deliveries):] {
		d := m.devices[r.Device]
		if d == nil {
			m.e.Fatalf("planned for %s, which does not exist", r.Device)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(msg.audience)), func(s string) bool { _, has := d.since[s]; return has }) {
			m.e.Fatalf("planned for %s, which does not belong to the audience", r.Device)
		}
		lane, _, reason := route(msg.Message, &d.Device)
		equal(m.e, r.Lane, lane, "lane of %s", r.Device)
		equal(m.e, r.Reason, reason, "reason of %s", r.Device)
		state := diaphone.Pending
		if reason != "" {
			state = diaphone.Failed
		}
		msg.deliveries = append(msg.deliveries, &modelDelivery{device: r.Device, lane: lane, state: state, due: seconds(msg.Begins())})
	}
	if !done {
		return
	}
	msg.planned = true
	planned := map[diaphone.DeviceID]int{}
	for _, d := range msg.deliveries {
		planned[d.device]++
		if planned[d.device] > 1 {
			m.e.Fatalf("%s was planned twice", d.device)
		}
	}
	for id, had := range msg.had {
		d := m.devices[id]
		for membership, since := range had {
			if d != nil && d.since[membership] == since && planned[id] == 0 {
				m.e.Fatalf("%s has belonged through %q all along and was not planned", id, membership)
			}
		}
	}
}

func seconds(t time.Time) float64 { return t.Sub(at(0)).Seconds() }
