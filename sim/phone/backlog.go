package phone

import (
	"slices"
	"time"
)

// Limits of FCM's store for one app on one device (Firebase, "Lifetime of a
// message" and "Collapsible and non-collapsible messages").
const (
	maxPlain     = 100 // one more discards everything
	maxCollapsed = 4   // distinct collapse keys
)

// deletedMessages is what an Android app finds when FCM discarded its backlog:
// it reaches the app as onDeletedMessages and asks for a full synchronisation.
const deletedMessages = `{"message_type":"deleted_messages"}`

// backlog is what a vendor keeps for a phone that is offline. The phone's lock
// guards it.
type backlog struct {
	waiting []Push
	lost    *Push // the push that made FCM discard the backlog
}

// keepNewest is the rule of APNs: one notification per topic, the newest.
// A collapse id needs no rule of its own here, since its successor replaces it
// in any case.
func (b *backlog) keepNewest(m Push) {
	b.waiting = slices.DeleteFunc(b.waiting, func(old Push) bool { return old.Topic == m.Topic })
	b.waiting = append(b.waiting, m)
}

// keepHundred is the rule of FCM: the newest for each of four collapse keys, and
// a hundred of those without one; the hundred and first discards all.
// FCM promises nothing about which of five collapse keys goes; here the oldest.
func (b *backlog) keepHundred(m Push) {
	if m.Collapse != "" {
		b.waiting = slices.DeleteFunc(b.waiting, func(old Push) bool { return old.Collapse == m.Collapse })
	}
	same := func(old Push) bool { return (old.Collapse == "") == (m.Collapse == "") }
	held := 0
	for _, old := range b.waiting {
		if same(old) {
			held++
		}
	}
	switch {
	case m.Collapse == "" && held == maxPlain:
		m.Payload, m.Headers = []byte(deletedMessages), nil
		b.waiting, b.lost = nil, &m
		return
	case m.Collapse != "" && held == maxCollapsed:
		oldest := slices.IndexFunc(b.waiting, same)
		b.waiting = slices.Delete(b.waiting, oldest, oldest+1)
	}
	b.waiting = append(b.waiting, m)
}

// release empties the backlog and returns what is still worth delivering, in the
// order it was accepted.
func (b *backlog) release(now time.Time) []Push {
	var out []Push
	if b.lost != nil {
		out = append(out, *b.lost)
	}
	for _, m := range b.waiting {
		if m.Expires.After(now) {
			out = append(out, m)
		}
	}
	*b = backlog{}
	return out
}
