package bolt

import (
	"cmp"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// plan walks an audience for one page. The audience is a list of sources in
// order: its named devices (one source), then each user, then each channel. A
// device that several of them hold must be planned once, though pages are read in
// transactions of their own and memberships change in between.
//
// The store order decides. The Accept has a place in it, and so has every
// membership. A device that has left nothing since the Accept belongs now through
// every membership that it had then; it is planned at the first of these, and a
// membership that began later neither plans nor skips it. A device that has left
// something may have been planned through what it left: the rosters know.
type plan struct {
	t        *txn
	of       message
	m        *diaphone.Message
	accepted uint64 // the Accept's place in the store order
	pages    uint32 // that are written
	route    storage.Route
	sources  []source
	devices  map[diaphone.DeviceID]bool
	users    map[diaphone.UserID]int // → source
	channels map[diaphone.ChannelName]int
	page     roster
	read     int // devices read for this page
}

// source is one part of an audience.
type source struct {
	devices []diaphone.DeviceID
	user    diaphone.UserID
	channel diaphone.ChannelName
}

func newPlan(t *txn, of message, m *diaphone.Message, so *progress, route storage.Route) *plan {
	to := &m.To
	p := &plan{
		t: t, of: of, m: m, accepted: so.order, pages: so.pages, route: route,
		devices:  make(map[diaphone.DeviceID]bool, len(to.Devices)),
		users:    make(map[diaphone.UserID]int, len(to.Users)),
		channels: make(map[diaphone.ChannelName]int, len(to.Channels)),
	}
	if len(to.Devices) > 0 {
		named := source{}
		for _, id := range to.Devices {
			if !p.devices[id] {
				p.devices[id] = true
				named.devices = append(named.devices, id)
			}
		}
		p.sources = append(p.sources, named)
	}
	for _, u := range to.Users {
		if _, twice := p.users[u]; !twice {
			p.users[u] = len(p.sources)
			p.sources = append(p.sources, source{user: u})
		}
	}
	for _, c := range to.Channels {
		if _, twice := p.channels[c]; !twice {
			p.channels[c] = len(p.sources)
			p.sources = append(p.sources, source{channel: c})
		}
	}
	return p
}

// readPage reads up to limit devices from the cursor on, moves the cursor, and
// leaves what it found in p.page.
func (p *plan) readPage(at *progress, limit int) error {
	for at.source < len(p.sources) && p.read < limit {
		exhausted, err := p.readSource(at, limit)
		if err != nil {
			return err
		}
		if exhausted {
			at.source, at.after = at.source+1, 0
		}
	}
	at.planned = at.source >= len(p.sources)
	return nil
}

func (p *plan) readSource(at *progress, limit int) (exhausted bool, err error) {
	src := p.sources[at.source]
	if src.devices != nil {
		for at.after < uint64(len(src.devices)) && p.read < limit {
			d, ok, err := p.t.deviceByID(p.of.app, src.devices[at.after])
			if err != nil {
				return false, err
			}
			p.read++
			at.after++
			if ok {
				if err := p.consider(d, at.source); err != nil {
					return false, err
				}
			}
		}
		return at.after >= uint64(len(src.devices)), nil
	}
	list, hash := p.t.index(inUsers, p.of.app), hashOf(string(src.user))
	if src.channel != "" {
		list, hash = p.t.index(inChannels, p.of.app), hashOf(string(src.channel))
	}
	exhausted = true
	var failure error
	err = list.after(hash, at.after, func(num uint64) bool {
		if p.read >= limit {
			exhausted = false
			return false
		}
		p.read++
		at.after = num
		d, ok, err := p.t.device(p.of.app, num)
		if err == nil && ok {
			err = p.consider(d, at.source)
		}
		if err != nil && !isDamage(err) {
			failure = err
		}
		return failure == nil
	})
	return exhausted, cmp.Or(failure, err)
}

// consider plans the device that source k led to, if it is due there.
func (p *plan) consider(d *device, k int) error {
	first, member := p.firstMembership(d, k)
	if !member {
		return nil // the index pointed at a device that does not say so itself
	}
	if d.lost > p.accepted {
		if p.onPage(d.ID) {
			return nil
		}
		if earlier, err := p.find(d.ID); err != nil || earlier != nil {
			return err
		}
	} else if first != k {
		return nil
	}
	e := entry{device: d.ID, lane: -1}
	lane, kind, reason := p.route(p.m, &d.Device)
	if reason != "" {
		e.reason = reason
	} else {
		e.lane, e.kind = p.page.laneIndex(lane), kind
	}
	p.page.entries = append(p.page.entries, e)
	return nil
}

// firstMembership gives the first source through which the device has belonged
// since before the Accept (-1: none), and whether it belongs to source k now.
func (p *plan) firstMembership(d *device, k int) (first int, member bool) {
	first = len(p.sources)
	see := func(source int, since uint64) {
		member = member || source == k
		if since < p.accepted {
			first = min(first, source)
		}
	}
	if p.devices[d.ID] {
		see(0, d.num)
	}
	if source, ok := p.users[d.User]; ok && d.User != "" {
		see(source, d.userSince)
	}
	if len(p.channels) > 0 {
		for i, c := range d.Channels {
			if source, ok := p.channels[c]; ok {
				see(source, d.since[i])
			}
		}
	}
	if first == len(p.sources) {
		first = -1
	}
	return first, member
}

func (p *plan) onPage(id diaphone.DeviceID) bool {
	for i := range p.page.entries {
		if p.page.entries[i].device == id {
			return true
		}
	}
	return false
}
