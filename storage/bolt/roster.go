package bolt

import (
	"cmp"
	"slices"

	"github.com/diaphone-dev/diaphone"
)

// entry is one delivery as it was planned. It never changes; what became of it is
// in the history.
type entry struct {
	device diaphone.DeviceID
	lane   int // in the roster's lanes; -1: nothing reaches the device
	kind   diaphone.TokenKind
	reason string // of lane -1
}

// roster is one page of a plan.
type roster struct {
	lanes   []diaphone.Lane
	entries []entry
	from    position // where in the walk over the audience it begins
}

// position is a place in the walk over an audience: a source of it, and what has been
// read of that source.
type position struct {
	source int
	after  uint64
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.source, q.source), cmp.Compare(p.after, q.after))
}

// laneIndex gives the lane's place, adding it if it is new.
func (r *roster) laneIndex(l diaphone.Lane) int {
	if i := slices.Index(r.lanes, l); i >= 0 {
		return i
	}
	r.lanes = append(r.lanes, l)
	return len(r.lanes) - 1
}

func (r *roster) record() record {
	out := newRecord(32 + 24*len(r.entries))
	out.number(len(r.lanes))
	for _, l := range r.lanes {
		out.text(string(l.App))
		out.text(l.Credential)
	}
	out.number(len(r.entries))
	for _, e := range r.entries {
		out.text(string(e.device))
		out.number(e.lane + 1)
		if e.lane < 0 {
			out.text(e.reason)
		} else {
			out.symbol(tokenKinds(), string(e.kind))
		}
	}
	if r.from != (position{}) { // else nothing: most messages have one page
		out.number(r.from.source)
		out.uint(r.from.after)
	}
	return out
}

func decodeRoster(r reader) (*roster, error) {
	out := &roster{lanes: make([]diaphone.Lane, r.count())}
	for i := range out.lanes {
		out.lanes[i] = diaphone.Lane{App: diaphone.AppID(r.text()), Credential: r.text()}
	}
	out.entries = make([]entry, r.count())
	for i := range out.entries {
		e := &out.entries[i]
		e.device = diaphone.DeviceID(r.text())
		e.lane = r.number() - 1
		if e.lane >= len(out.lanes) {
			r.fail("lane of an entry")
		}
		if e.lane < 0 {
			e.reason = r.text()
		} else {
			e.kind = diaphone.TokenKind(r.symbol(tokenKinds()))
		}
	}
	if len(r.b) > 0 {
		out.from = position{r.number(), r.uint()}
	}
	return out, r.end()
}

// rosterBegins reads where a page begins, and passes over the rest: it is asked of ten
// pages where one is wanted.
func rosterBegins(r reader) (position, error) {
	for range 2 * r.count() {
		r.blob()
	}
	for range r.count() {
		r.blob()
		if lane := r.number() - 1; lane < 0 {
			r.blob()
		} else if kind := r.number(); kind == 0 { // it has no symbol
			r.blob()
		}
	}
	if len(r.b) == 0 {
		return position{}, r.err
	}
	p := position{r.number(), r.uint()}
	return p, r.end()
}

func (t *txn) roster(of message, page uint32) (*roster, bool, error) {
	k := of.page(page)
	r, ok, err := t.get(inRosters, k)
	if err != nil || !ok {
		return nil, false, err
	}
	out, err := decodeRoster(r)
	if err != nil {
		return nil, false, t.bad(inRosters, k, t.bucket(inRosters).Get(k), err)
	}
	return out, true, nil
}

// item is one delivery that waits in a batch.
type item struct {
	index uint32 // in the roster of its page
	tries int
}

// batch is what a queue record holds: ascending indices.
type batch []item

func (b batch) record() record {
	r := newRecord(4 + 2*len(b))
	r.number(len(b))
	last := uint32(0)
	for _, i := range b {
		r.uint(uint64(i.index - last))
		r.number(i.tries)
		last = i.index
	}
	return r
}

func decodeBatch(r reader) (batch, error) {
	out := make(batch, r.count())
	last := uint32(0)
	for i := range out {
		last += uint32(r.number())
		out[i] = item{index: last, tries: r.number()}
	}
	return out, r.end()
}

// putBatch queues deliveries under a ticket that it completes with an order.
func (t *txn) putBatch(k ticket, b batch) (key, error) {
	order, err := t.nextOrder()
	if err != nil {
		return nil, err
	}
	k.order = order
	return k.key(), t.put(inQueue, k.key(), b.record())
}
