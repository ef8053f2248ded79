package bolt

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func whens() []string { return []string{string(diaphone.Always), string(diaphone.Away)} }

// messageRecord encodes an accepted message. The notification is JSON, as its
// type defines it: fields may come and go there without a migration here.
func messageRecord(m *diaphone.Message) (record, error) {
	r := newRecord(256)
	r.time(m.AcceptedAt)
	r.time(m.Expires)
	r.symbol(whens(), string(m.When))
	writeTexts(&r, m.To.Users)
	writeTexts(&r, m.To.Devices)
	writeTexts(&r, m.To.Channels)
	if m.Event == nil {
		r.byte(0)
	} else {
		r.byte(1)
		r.text(m.Event.Name)
		r.text(m.Event.Data)
		r.text(string(m.Event.ExceptSocket))
	}
	if m.Notification == nil {
		r.byte(0)
	} else {
		body, err := json.Marshal(m.Notification)
		if err != nil {
			return nil, fmt.Errorf("encode the notification: %w", err)
		}
		r.byte(1)
		r.blob(body)
	}
	if !m.SendAt.IsZero() { // else nothing: most records end here
		r.time(m.SendAt)
		r.int(int64(m.Confirm.Within))
		r.text(string(m.Confirm.By))
	}
	return r, nil
}

func decodeMessage(r reader, of message) (*diaphone.Message, error) {
	m := &diaphone.Message{}
	m.App, m.ID = of.ref()
	m.AcceptedAt, m.Expires = r.time(), r.time()
	m.When = diaphone.When(r.symbol(whens()))
	m.To.Users = readTexts[diaphone.UserID](&r)
	m.To.Devices = readTexts[diaphone.DeviceID](&r)
	m.To.Channels = readTexts[diaphone.ChannelName](&r)
	if r.byte() == 1 {
		m.Event = &diaphone.Event{Name: r.text(), Data: r.text(), ExceptSocket: diaphone.SocketID(r.text())}
	}
	if r.byte() == 1 {
		m.Notification = &diaphone.Notification{}
		if err := json.Unmarshal(r.blob(), m.Notification); err != nil && r.err == nil {
			r.fail("notification")
		}
	}
	if len(r.b) > 0 {
		m.SendAt = r.time()
		m.Confirm = diaphone.Confirmation{Within: time.Duration(r.int()), By: diaphone.Proof(r.text())}
	}
	return m, r.end()
}

func writeTexts[T ~string](r *record, list []T) {
	r.number(len(list))
	for _, s := range list {
		r.text(string(s))
	}
}

func readTexts[T ~string](r *reader) []T {
	n := r.count()
	if n == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = T(r.text())
	}
	return list
}

func (t *txn) message(of message) (*diaphone.Message, bool, error) {
	r, ok, err := t.get(inMessages, of.key())
	if err != nil || !ok {
		return nil, false, err
	}
	m, err := decodeMessage(r, of)
	if err != nil {
		return nil, false, t.bad(inMessages, of.key(), t.bucket(inMessages).Get(of.key()), err)
	}
	return m, true, nil
}

// progress is how far a message has come: the part of it that changes.
type progress struct {
	order     uint64 // the Accept's place in the store order
	counts    diaphone.Counts
	source    int    // the plan's cursor: which source of the audience,
	after     uint64 // and the place in it that was read last
	pages     uint32 // rosters written
	planned   bool
	scheduled bool   // it waits for accepted, and Start
	unsent    bool   // it was cancelled while it waited
	cancelled int64  // ms; 0: it was not
	accepted  int64  // ms; of a scheduled message, when it is due
	finished  int64  // ms; 0: not yet
	idem      []byte // hash of the idempotency key; nil: none
}

// settleIfDone sets the time of finishing once nothing is left to plan or to do.
func (p *progress) settleIfDone(nowMillis int64) (finished bool) {
	if !p.planned || p.counts.Pending > 0 || p.finished != 0 {
		return false
	}
	p.finished = max(nowMillis, 1)
	return true
}

func countsOf(c *diaphone.Counts) [6]*int64 {
	return [6]*int64{&c.Pending, &c.Delivered, &c.Failed, &c.Expired, &c.Suppressed, &c.Cancelled}
}

func (p *progress) record() record {
	r := newRecord(64)
	r.uint(p.order)
	for _, n := range countsOf(&p.counts) {
		r.uint(uint64(*n))
	}
	r.number(p.source)
	r.uint(p.after)
	r.uint(uint64(p.pages))
	switch {
	case p.unsent:
		r.byte(3)
	case p.scheduled:
		r.byte(2)
	case p.planned:
		r.byte(1)
	default:
		r.byte(0)
	}
	r.int(p.accepted)
	r.int(p.finished)
	r.blob(p.idem)
	if p.cancelled != 0 { // else nothing: nearly all records end here
		r.int(p.cancelled)
	}
	return r
}

func decodeProgress(r reader) (*progress, error) {
	p := &progress{order: r.uint()}
	for _, n := range countsOf(&p.counts) {
		*n = int64(r.uint())
		p.counts.Accepted += *n
	}
	p.source, p.after, p.pages = r.number(), r.uint(), uint32(r.number())
	stage := r.byte()
	p.planned, p.scheduled, p.unsent = stage == 1 || stage == 3, stage == 2, stage == 3
	p.accepted, p.finished = r.int(), r.int()
	p.idem = append([]byte(nil), r.blob()...)
	if len(r.b) > 0 {
		p.cancelled = r.int()
	}
	return p, r.end()
}

func (t *txn) progress(of message) (*progress, bool, error) {
	r, ok, err := t.get(inProgress, of.key())
	if err != nil || !ok {
		return nil, false, err
	}
	p, err := decodeProgress(r)
	if err != nil {
		return nil, false, t.bad(inProgress, of.key(), t.bucket(inProgress).Get(of.key()), err)
	}
	return p, true, nil
}

// putProgress writes the progress. A message that has just finished it lists for Sweep,
// and has it told.
func (t *txn) putProgress(of message, p *progress, finished bool) error {
	if finished {
		if err := t.put(inFinished, finishedKey(p.accepted, of), newRecord(0)); err != nil {
			return err
		}
		if err := t.tellFinished(of, p); err != nil {
			return err
		}
	}
	return t.put(inProgress, of.key(), p.record())
}

func finishedKey(acceptedMillis int64, of message) key {
	return key(nil).uint64(uint64(max(acceptedMillis, 0))).raw(of.key()...)
}
