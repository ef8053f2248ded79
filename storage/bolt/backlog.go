package bolt

import (
	"sync"

	"github.com/diaphone-dev/diaphone"
)

// backlog counts what waits, by app, so that nobody has to walk the queue to know. It
// is counted when the file is opened, and follows what is committed from then on.
type backlog struct {
	mu                 sync.Mutex
	pending, scheduled map[diaphone.AppID]int64
}

// Backlog implements storage.Outbox.
func (s *Store) Backlog(app diaphone.AppID) (pending, scheduled int64) {
	s.backlog.mu.Lock()
	defer s.backlog.mu.Unlock()
	return s.backlog.pending[app], s.backlog.scheduled[app]
}

// add is called behind a commit.
func (b *backlog) add(app diaphone.AppID, pending, scheduled int64) {
	if pending == 0 && scheduled == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[app] += pending
	b.scheduled[app] += scheduled
}

// count reads the queue and the schedule through, before anybody else does.
func (b *backlog) count(t *txn) {
	b.pending, b.scheduled = map[diaphone.AppID]int64{}, map[diaphone.AppID]int64{}
	t.scan(inQueue, nil, nil, func(k, v []byte) bool {
		of, ok := parseTicket(k)
		r, err := open(inQueue, k, v)
		if ok && err == nil {
			b.pending[of.lane.App] += int64(r.count())
		}
		return true
	})
	t.scan(inSchedule, nil, nil, func(k, _ []byte) bool {
		if _, of, ok := parseSchedule(k); ok {
			b.scheduled[of.app]++
		}
		return true
	})
}
