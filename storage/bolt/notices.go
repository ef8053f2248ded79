package bolt

import (
	"bytes"
	"context"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// Append implements storage.Notices.
func (s *Store) Append(ctx context.Context, a storage.Append) error {
	k := moves
	if len(a.Notices) > 0 || len(a.Begun) > 0 {
		k = adds
	}
	return s.write(ctx, k, func(t *txn) error {
		if _, err := t.append(a.Notices, 0); err != nil {
			return err
		}
		return t.stand(a.Begun, a.Ended)
	})
}

// enqueue puts a notice at the end of its queue. The caller writes the tally.
func (t *txn) enqueue(queue key, q *tally, r record) error {
	q.last++
	q.pending++
	return t.put(inNotices, placeKey(queue, q.last), r)
}

// Front implements storage.Notices. Notices that cannot be read are passed over:
// the gap in the numbers tells of them.
func (s *Store) Front(ctx context.Context, id diaphone.WebhookID, n int) (front []storage.QueuedNotice, err error) {
	err = s.view(ctx, func(t *txn) error {
		front = t.front(queueKey(id), n)
		return nil
	})
	return front, err
}

func (t *txn) front(queue key, n int) (front []storage.QueuedNotice) {
	t.scan(inNotices, queue, nil, func(k, v []byte) bool {
		if len(front) >= n {
			return false
		}
		if q, ok := readAs(t, inNotices, k, v, decodeNotice); ok {
			q.Seq, _, _ = cutOrder(k[len(queue):]) // the checksum has covered the key
			front = append(front, q)
		}
		return true
	})
	return front
}

// Done implements storage.Notices.
func (s *Store) Done(ctx context.Context, id diaphone.WebhookID, upTo uint64) error {
	return s.takeOff(ctx, id, upTo, func(t *txn, keys []key, q *tally) error {
		for _, k := range keys {
			if err := t.delete(inNotices, k); err != nil {
				return err
			}
		}
		q.pending -= int64(len(keys))
		return nil
	})
}

// Bury implements storage.Notices.
func (s *Store) Bury(ctx context.Context, id diaphone.WebhookID, upTo uint64, reason string, now time.Time) error {
	return s.takeOff(ctx, id, upTo, func(t *txn, keys []key, q *tally) error {
		for _, k := range keys {
			if err := t.bury(k, q, reason, now); err != nil {
				return err
			}
		}
		if over := q.dead - s.options.hooks.maxDead; over > 0 {
			gone, err := t.clear(inDead, queueKey(id), int(over))
			q.dead -= int64(gone)
			return err
		}
		return nil
	})
}

// bury moves one notice. One that cannot be read stays for the next transaction to
// put aside.
func (t *txn) bury(k key, q *tally, reason string, now time.Time) error {
	n, ok, err := read(t, inNotices, k, decodeNotice)
	if isDamage(err) {
		return nil
	}
	if err != nil || !ok {
		return err
	}
	if err := t.put(inDead, k, deadRecord(&n, reason, now)); err != nil {
		return err
	}
	q.pending--
	q.dead++
	return t.delete(inNotices, k)
}

// takeOff hands the notices up to a number to end, in transactions of at most
// MaxPage of them: what a webhook sends at once goes in one.
func (s *Store) takeOff(ctx context.Context, id diaphone.WebhookID, upTo uint64, end func(t *txn, keys []key, q *tally) error) error {
	queue := queueKey(id)
	last := placeKey(queue, upTo)
	for more := true; more; {
		err := s.write(ctx, moves, func(t *txn) error {
			var keys []key
			more = false
			t.scan(inNotices, queue, nil, func(k, _ []byte) bool {
				if bytes.Compare(k, last) > 0 {
					return false
				}
				if more = len(keys) == storage.MaxPage; !more {
					keys = append(keys, bytes.Clone(k))
				}
				return !more
			})
			if len(keys) == 0 {
				return nil
			}
			q, err := t.tally(queue)
			if err != nil {
				return err
			}
			if err := end(t, keys, &q); err != nil {
				return err
			}
			return t.putTally(queue, q)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Queues implements storage.Notices.
func (s *Store) Queues(ctx context.Context, app diaphone.AppID) (queues []storage.NoticeQueue, err error) {
	var of key
	if app != "" {
		of = appKey(app)
	}
	err = s.view(ctx, func(t *txn) error {
		queues = nil
		var damage error // the last: view has all of them moved away and asks again
		t.scan(inTallies, of, nil, func(k, _ []byte) bool {
			q, _, err := t.readTally(k)
			if err != nil {
				damage = err
				return true
			}
			state := storage.NoticeQueue{Webhook: parseQueue(k), Pending: q.pending, Dead: q.dead, Last: q.last}
			if front := t.front(k, 1); len(front) > 0 {
				state.Oldest = front[0].Since
			}
			queues = append(queues, state)
			return true
		})
		return damage
	})
	return queues, err
}
