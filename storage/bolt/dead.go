package bolt

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// DeadLetters implements storage.Notices.
func (s *Store) DeadLetters(ctx context.Context, id diaphone.WebhookID, page storage.Page) (letters []storage.DeadLetter, next string, err error) {
	if err := checkLimit(page); err != nil {
		return nil, "", err
	}
	queue := queueKey(id)
	list := cursor{kind: "dead-letters", of: string(queue)}
	after, err := list.parse(page.Cursor, 1)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(t *txn) error {
		letters, next = nil, ""
		t.scan(inDead, queue, placeKey(queue, after[0]+1), func(k, v []byte) bool {
			l, ok := readAs(t, inDead, k, v, decodeDead)
			if !ok {
				return true
			}
			if len(letters) == page.Limit {
				next = list.text(letters[len(letters)-1].Seq)
				return false
			}
			l.Seq, _, _ = cutOrder(k[len(queue):]) // the checksum has covered the key
			letters = append(letters, l)
			return true
		})
		return nil
	})
	return letters, next, err
}

// Revive implements storage.Notices. It adds nothing: a full disk does not stop it.
func (s *Store) Revive(ctx context.Context, id diaphone.WebhookID, seqs []uint64, now time.Time) (revived int, more bool, err error) {
	queue := queueKey(id)
	more, err = s.exhume(ctx, queue, seqs, func(t *txn, keys []key, q *tally) error {
		revived = 0
		for _, k := range keys {
			l, _, err := read(t, inDead, k, decodeDead)
			if isDamage(err) {
				continue
			}
			if err != nil {
				return err
			}
			if err := t.enqueue(queue, q, noticeRecord(&l.Notice, now)); err != nil {
				return err
			}
			if err := t.delete(inDead, k); err != nil {
				return err
			}
			revived++
		}
		q.dead -= int64(revived)
		return nil
	})
	return revived, more, err
}

// Discard implements storage.Notices.
func (s *Store) Discard(ctx context.Context, id diaphone.WebhookID, seqs []uint64) (discarded int, more bool, err error) {
	more, err = s.exhume(ctx, queueKey(id), seqs, func(t *txn, keys []key, q *tally) error {
		for _, k := range keys {
			if err := t.delete(inDead, k); err != nil {
				return err
			}
		}
		discarded = len(keys)
		q.dead -= int64(discarded)
		return nil
	})
	return discarded, more, err
}

// exhume hands a page of dead letters to act, and writes the tally after it.
func (s *Store) exhume(ctx context.Context, queue key, seqs []uint64, act func(t *txn, keys []key, q *tally) error) (more bool, err error) {
	seqs = slices.Clone(seqs) // stays nil if it is
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	err = s.write(ctx, moves, func(t *txn) error {
		keys, left := t.deadKeys(queue, seqs)
		more = left
		if len(keys) == 0 {
			return act(t, nil, &tally{})
		}
		q, err := t.tally(queue)
		if err != nil {
			return err
		}
		if err := act(t, keys, &q); err != nil {
			return err
		}
		return t.putTally(queue, q)
	})
	return more, err
}

// deadKeys gives the keys of the first MaxPage dead letters with these numbers, or
// (nil) of any. more: there are others.
func (t *txn) deadKeys(queue key, seqs []uint64) (keys []key, more bool) {
	add := func(k []byte) bool {
		if more = len(keys) == storage.MaxPage; !more {
			keys = append(keys, bytes.Clone(k))
		}
		return !more
	}
	if seqs == nil {
		t.scan(inDead, queue, nil, func(k, _ []byte) bool { return add(k) })
		return keys, more
	}
	for _, seq := range seqs {
		k := placeKey(queue, seq)
		if t.bucket(inDead).Get(k) != nil && !add(k) {
			break
		}
	}
	return keys, more
}

// SweepNotices implements storage.Notices. Like Sweep it holds up nobody's write.
func (s *Store) SweepNotices(ctx context.Context, before time.Time, keep []diaphone.WebhookID, limit int) (removed int, more bool, err error) {
	kept := make(map[string]bool, len(keep))
	for _, id := range keep {
		kept[string(queueKey(id))] = true
	}
	for {
		gone := 0
		err := s.write(ctx, moves, func(t *txn) (err error) {
			gone, more, err = t.sweepNotices(millis(before), kept, min(limit-removed, sweepRecords))
			return err
		})
		if err != nil {
			return removed, false, err
		}
		removed += gone
		if !more || removed >= limit {
			return removed, more, nil
		}
	}
}

func (t *txn) sweepNotices(before int64, kept map[string]bool, limit int) (removed int, more bool, err error) {
	var queues []key
	t.scan(inTallies, nil, nil, func(k, _ []byte) bool {
		queues = append(queues, bytes.Clone(k))
		return true
	})
	for _, queue := range queues {
		dead, left := t.older(inDead, queue, before, limit-removed)
		more = more || left
		var pending []key
		if !kept[string(queue)] {
			pending, left = t.older(inNotices, queue, before, limit-removed-len(dead))
			more = more || left
		}
		if len(dead)+len(pending) == 0 {
			continue
		}
		q, err := t.tally(queue)
		if err != nil {
			return 0, false, err
		}
		q.dead -= int64(len(dead))
		q.pending -= int64(len(pending))
		for b, keys := range map[bucket][]key{inDead: dead, inNotices: pending} {
			for _, k := range keys {
				if err := t.delete(b, k); err != nil {
					return 0, false, err
				}
			}
		}
		if err := t.putTally(queue, q); err != nil {
			return 0, false, err
		}
		removed += len(dead) + len(pending)
	}
	return removed, more, nil
}

// older gives the keys from a queue's front whose records begin with a time before
// the given, at most limit. more: there are others.
func (t *txn) older(b bucket, queue key, before int64, limit int) (keys []key, more bool) {
	t.scan(b, queue, nil, func(k, v []byte) bool {
		since, ok := readAs(t, b, k, v, func(r reader) (int64, error) { ms := r.int(); return ms, r.err })
		if !ok {
			return true
		}
		if since >= before {
			return false
		}
		if more = len(keys) >= limit; !more {
			keys = append(keys, bytes.Clone(k))
		}
		return !more
	})
	return keys, more
}
