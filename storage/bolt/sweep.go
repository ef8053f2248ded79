package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
)

// sweepRecords bounds what one transaction of Sweep deletes, so that the history
// of a broadcast to a million devices holds up nobody's write. Such a message goes
// in several transactions, itself last: until then its report is there while
// deliveries of it are already gone.
const sweepRecords = 512

// Sweep implements storage.History.
func (s *Store) Sweep(ctx context.Context, before time.Time, limit int) (removed int, more bool, err error) {
	for {
		var gone int
		var left bool
		err := s.write(ctx, moves, func(t *txn) (err error) {
			gone, left, err = t.sweep(before, limit-removed)
			return err
		})
		if err != nil {
			return removed, false, err
		}
		removed += gone
		if !left || removed >= limit {
			return removed, left, nil
		}
	}
}

// sweep removes finished messages, oldest first, until a bound is met. left: there
// are more.
func (t *txn) sweep(before time.Time, limit int) (removed int, left bool, err error) {
	var old []key
	end := uint64(max(millis(before), 0))
	t.scan(inFinished, nil, nil, func(k, _ []byte) bool {
		if len(k) < 8 || binary.BigEndian.Uint64(k) >= end {
			return false
		}
		if len(old) > limit || len(old) >= sweepRecords {
			left = true
			return false
		}
		old = append(old, bytes.Clone(k))
		return true
	})
	budget := sweepRecords
	for _, k := range old {
		if removed >= limit || budget <= 0 {
			return removed, true, nil
		}
		whole, err := t.remove(k, &budget)
		if err != nil {
			return 0, false, err
		}
		if !whole {
			return removed, true, nil
		}
		removed++
	}
	return removed, left, nil
}

// remove deletes a finished message, as much of it as the budget allows. whole:
// nothing of it is left.
func (t *txn) remove(finished key, budget *int) (whole bool, err error) {
	of, rest, ok := cutMessage(finished[8:])
	if !ok || len(rest) > 0 {
		return true, t.delete(inFinished, finished)
	}
	p, ok, err := t.progress(of)
	if err != nil && !isDamage(err) {
		return false, err
	}
	known := err == nil && ok
	if known && p.finished == 0 {
		return true, t.delete(inFinished, finished) // a damaged key: this one is at work
	}
	for _, b := range []bucket{inHistory, inRosters, inReceipts} {
		n, err := t.clear(b, of.key(), *budget)
		if err != nil {
			return false, err
		}
		if *budget -= n; *budget <= 0 {
			return false, nil
		}
	}
	if known {
		if err := t.forgetKey(of, p); err != nil {
			return false, err
		}
	}
	*budget--
	for _, b := range []bucket{inReported, inMessages, inProgress} {
		if err := t.delete(b, of.key()); err != nil {
			return false, err
		}
	}
	return true, t.delete(inFinished, finished)
}

// forgetKey removes the message's idempotency record, unless the key has passed
// to another message.
func (t *txn) forgetKey(of message, p *progress) error {
	if len(p.idem) != 32 {
		return nil
	}
	k := idempotencyKey(of.app, [32]byte(p.idem))
	r, ok, err := t.get(inIdem, k)
	if err != nil || !ok {
		if isDamage(err) {
			return nil
		}
		return err
	}
	if _, holder, err := decodeIdem(r, of.app); err != nil || holder != of {
		return nil //nolint:nilerr // what cannot be read is nobody's key
	}
	return t.delete(inIdem, k)
}
