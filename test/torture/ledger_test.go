package torture

import (
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// ledger is what three witnesses tell of one scene: the publishers, who wrote down
// what they meant before they did it; the simulators, which saw what came to each
// phone; and the gateway, in its final reports. judge holds it against the promises.
type ledger struct {
	publishes []*publish
	sights    []sight
	reports   map[diaphone.MessageID]report
	glimpses  []glimpse
	heard     []connection

	registered map[diaphone.DeviceID]bool // whose registration was answered
	tokens     map[diaphone.DeviceID]int  // in use, of every device that the gateway knows at the end

	terms
	settled time.Duration // from the end of all faults until every accepted message had finished
}

// terms are what a scene allows.
type terms struct {
	within  time.Duration // for settling
	cuts    []cut
	excuses []excuse
	dead    map[diaphone.DeviceID]bool // whose tokens must be given up; all others must be kept
	refuses []int                      // statuses by which a publish may be refused
}

// publish is one message that a publisher meant to send. Its key is its idempotency
// key and the text of its notification, so that phones tell which one they saw.
type publish struct {
	key     string
	owed    []diaphone.DeviceID // belonged to its audience before the first try
	outcome outcome
	status  int                  // of a refusal
	ids     []diaphone.MessageID // one for each answer that accepted it
	recall  *recall              // nil: the publisher has not asked for it
}

// recall is a publisher's wish to cancel.
type recall struct {
	answered time.Time // zero: nobody knows
	tooLate  int       // deliveries, by the answer
}

// outcome is what a publisher knows of a publish.
type outcome string

const (
	unknown  outcome = "unknown"  // no answer, or one that promises nothing
	accepted outcome = "accepted" // 202
	refused  outcome = "refused"  // nothing of it may ever be seen
)

// sight is one notification that came to one phone.
type sight struct {
	device diaphone.DeviceID
	key    string
	id     string // that apps tell notifications apart by
	at     time.Time
}

// report is what the gateway says of a message in the end.
type report struct {
	finished   bool
	at         time.Time // when it had
	cancelled  bool      // so that some of it may never have been planned
	counts     wire.Counts
	deliveries []wire.Delivery
}

// glimpse is what the gateway said of a message while it was under way.
type glimpse struct {
	key    string
	counts wire.Counts
}

// connection is what one socket heard, in order.
type connection []event

// event is the nth of a publisher.
type event struct {
	publisher string
	n         int
}

// cut is a time in which outcomes could get lost between a provider and the disk, and
// how many attempts were in flight then at most: so many may be made again.
type cut struct {
	from, to time.Time
	inFlight int
}

// excuse allows deliveries to end without their phone.
type excuse struct {
	state   diaphone.State
	reasons []string
	devices map[diaphone.DeviceID]bool // nil: any
	most    int                        // so many of them; 0: any number
}

// book is a ledger while it is written. Its methods are safe for concurrent use.
type book struct {
	mu sync.Mutex
	ledger
	order []diaphone.DeviceID // of registration
}

func newBook() *book {
	return &book{ledger: ledger{registered: make(map[diaphone.DeviceID]bool)}}
}

// intend notes a publish before its first try.
func (b *book) intend(key string, owed []diaphone.DeviceID) *publish {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &publish{key: key, owed: owed, outcome: unknown}
	b.publishes = append(b.publishes, p)
	return p
}

// accept notes an answer that a publish has been taken.
func (b *book) accept(p *publish, id diaphone.MessageID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.outcome, p.ids = accepted, append(p.ids, id)
}

// refuse notes an answer that a publish has not been taken.
func (b *book) refuse(p *publish, status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.outcome, p.status = refused, status
}

// recall notes that a publisher is about to cancel.
func (b *book) recall(p *publish) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.recall = &recall{}
}

// recalled notes the answer to that.
func (b *book) recalled(p *publish, tooLate int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.recall.answered, p.recall.tooLate = time.Now(), int(tooLate)
}

// register notes that a registration was answered.
func (b *book) register(id diaphone.DeviceID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.registered[id] {
		b.registered[id] = true
		b.order = append(b.order, id)
	}
}

// members gives the registered devices that belong to something.
func (b *book) members(in func(diaphone.DeviceID) bool) (all []diaphone.DeviceID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		if in(id) {
			all = append(all, id)
		}
	}
	return all
}

// glimpse notes what the gateway says of a message now.
func (b *book) glimpse(p *publish, c wire.Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.glimpses = append(b.glimpses, glimpse{p.key, c})
}

// hear notes what a socket that has ended has heard.
func (b *book) hear(c connection) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, c)
}

// cut notes that outcomes could get lost.
func (b *book) cut(from, to time.Time, inFlight int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cuts = append(b.cuts, cut{from, to, inFlight})
}

// acceptedIDs gives the messages that have been accepted.
func (b *book) acceptedIDs() (ids []diaphone.MessageID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.publishes {
		if p.outcome == accepted {
			ids = append(ids, p.ids[0])
		}
	}
	return ids
}
