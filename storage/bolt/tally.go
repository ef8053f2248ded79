package bolt

import "time"

// tally is what is known of a queue without walking it.
type tally struct {
	last    uint64 // the number given last
	pending int64
	dead    int64
}

func (q *tally) record() record {
	r := newRecord(24)
	r.uint(q.last)
	r.int(q.pending)
	r.int(q.dead)
	return r
}

func decodeTally(r reader) (tally, error) {
	q := tally{last: r.uint(), pending: r.int(), dead: r.int()}
	return q, r.end()
}

// readTally reads the record; ok is false when there is none.
func (t *txn) readTally(queue key) (q tally, ok bool, err error) {
	return read(t, inTallies, queue, decodeTally)
}

// tally gives the tally of a queue, which may be a new one.
func (t *txn) tally(queue key) (tally, error) {
	q, ok, err := t.readTally(queue)
	if err == nil && !ok {
		q = t.count(queue, false)
	}
	return q, err
}

func (t *txn) putTally(queue key, q tally) error { return t.put(inTallies, queue, q.record()) }

// count makes the tally of a queue whose record is not there, out of what is in the
// queue. lost: there was one.
//
// Which number was given last may then be known to nobody, and a backend that
// remembers how far it has come would take a number given twice for an old one. So
// the numbers go on at the Unix time in milliseconds, which is more than any queue
// reaches by counting.
func (t *txn) count(queue key, lost bool) tally {
	q := tally{}
	for b, n := range map[bucket]*int64{inNotices: &q.pending, inDead: &q.dead} {
		t.scan(b, queue, nil, func(k, _ []byte) bool {
			*n++
			if seq, _, ok := cutOrder(k[len(queue):]); ok {
				q.last = max(q.last, seq)
			}
			return true
		})
	}
	if lost || q != (tally{}) {
		q.last = max(q.last, uint64(time.Now().UnixMilli()))
	}
	return q
}

// recount makes the tally true again after records of the queue, or the tally
// itself (lost), were put aside.
func (t *txn) recount(queue key, lost bool) error {
	have, known, err := t.readTally(queue)
	if err != nil {
		return err
	}
	q := t.count(queue, lost)
	switch {
	case known:
		q.last = have.last
	case q == (tally{}):
		return nil // the place was damaged too: there is no such queue
	}
	return t.putTally(queue, q)
}
