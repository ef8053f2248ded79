package hooks

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/storage"
)

// A request in Pusher's form carries up to so many notices, and waits so long for them
// (Pusher's batching).
const (
	batchSize   = 20
	batchWindow = 250 * time.Millisecond
)

// A standard request carries one notice. Where the order means nothing, which it does
// between messages, so many are under way at once: else an endpoint that answers in 50 ms
// would hear of twenty messages a second.
const atOnce = 16

// buryPage is how many notices are given up in one write.
const buryPage = 200

// maxAnswer is how much of an answer's body is read, for the sake of the connection
// only.
const maxAnswer = 8 << 10

// sender reads the log of one webhook from the front. One goroutine owns it.
type sender struct {
	id     diaphone.WebhookID
	engine *Engine
	app    *diaphone.App
	hook   *diaphone.Webhook
	wake   chan struct{}
	tries  int // attempts in vain since the last that was not
	// Notices that were taken although one before them was not. They are not sent again,
	// but after a restart.
	ahead map[uint64]bool

	mu    sync.Mutex
	state State
}

// State is how a webhook is doing, since the start.
type State struct {
	FailingSince time.Time // zero: the last attempt was not in vain
	NextAttempt  time.Time // while it fails
	LastStatus   int       // of the last attempt; 0: there was no answer
	LastError    string    // of the last attempt, without the URL; empty: there was none
}

// States gives the states of all webhooks. It may be called at any time.
func (e *Engine) States() map[diaphone.WebhookID]State {
	all := map[diaphone.WebhookID]State{}
	for id, s := range e.senders {
		s.mu.Lock()
		all[id] = s.state
		s.mu.Unlock()
	}
	return all
}

func newSender(e *Engine, app *diaphone.App, hook *diaphone.Webhook) *sender {
	id := diaphone.WebhookID{App: app.ID, Name: hook.Name}
	e.Metrics.fail(id, false)
	return &sender{id: id, engine: e, app: app, hook: hook, wake: make(chan struct{}, 1)}
}

// run sends until ctx ends; requests under way then go on until last ends.
func (s *sender) run(ctx, last context.Context) {
	for {
		notices := s.gather(ctx)
		if len(notices) == 0 {
			return
		}
		took, a := s.send(last, notices)
		if took > 0 {
			s.taken(ctx, notices[:took], a.status)
		}
		if a.fault == "" {
			continue
		}
		if last.Err() != nil {
			return // cut short by us, which is not the endpoint's fault
		}
		wait := s.failed(&a)
		if time.Since(notices[0].Since) > giveUpAfter && time.Since(s.state.FailingSince) > giveUpUpon {
			s.bury(ctx, &a)
		}
		pause(ctx, wait, nil)
	}
}

// gather waits until there is something to send, and then for more, but not for long.
// It gives nothing when ctx has ended.
func (s *sender) gather(ctx context.Context) []storage.QueuedNotice {
	for ctx.Err() == nil {
		notices, err := s.engine.Notices.Front(ctx, s.id, batchSize)
		if err != nil {
			s.troubled(ctx, "read the log of a webhook", err)
			continue
		}
		if s.hook.Form == diaphone.FormStandard && len(notices) > 0 {
			return together(notices)
		}
		if n := foreign(notices); n > 0 {
			s.insist(ctx, "bury notices of a webhook", func() error {
				return s.engine.Notices.Bury(context.WithoutCancel(ctx), s.id, notices[n-1].Seq, otherForm, time.Now())
			})
			continue
		}
		if n := slices.IndexFunc(notices, isForeign); n > 0 {
			return notices[:n]
		}
		wait := tick
		if len(notices) > 0 {
			wait = stillOpen(notices[0].Since, time.Now())
		}
		if len(notices) == batchSize || wait <= 0 {
			return notices
		}
		pause(ctx, wait, s.wake)
	}
	return nil
}

// otherForm is why a notice of a message is a dead letter of a webhook that has come to
// Pusher's form: no SDK would know it.
const otherForm = "format: pusher has no form for it"

func isForeign(n storage.QueuedNotice) bool { return !n.Notice.Kind.OfChannels() }

// foreign tells how many notices, from the front, Pusher's form cannot say.
func foreign(notices []storage.QueuedNotice) (n int) {
	for n < len(notices) && isForeign(notices[n]) {
		n++
	}
	return n
}

// stillOpen is how long a batch that has waited since then waits for more. If that is
// yet to come the clock was set back, and nothing says how long it has waited.
func stillOpen(since, now time.Time) time.Duration {
	if now.Before(since) {
		return 0
	}
	return since.Add(batchWindow).Sub(now)
}

// together cuts to what may be sent at once in requests of their own: one notice of a
// channel, or several that are of none.
func together(notices []storage.QueuedNotice) []storage.QueuedNotice {
	n := 0
	for n < min(len(notices), atOnce) && !notices[n].Notice.Kind.OfChannels() {
		n++
	}
	return notices[:max(n, 1)]
}

// send makes the requests for some notices, and tells how many of them, from the front,
// were taken. If not all were, the answer is that to the first that was not.
func (s *sender) send(ctx context.Context, notices []storage.QueuedNotice) (took int, a answer) {
	if s.hook.Form != diaphone.FormStandard {
		if a = s.attempt(ctx, notices); a.fault == "" {
			took = len(notices)
		}
		return took, a
	}
	answers := make([]answer, len(notices))
	var requests sync.WaitGroup
	for i := range notices {
		if !s.ahead[notices[i].Seq] {
			requests.Go(func() { answers[i] = s.attempt(ctx, notices[i:i+1]) })
		}
	}
	requests.Wait()
	for took < len(notices) && answers[took].fault == "" {
		a = answers[took]
		took++
	}
	s.ahead = map[uint64]bool{}
	for i := took; i < len(notices); i++ {
		s.ahead[notices[i].Seq] = answers[i].fault == ""
	}
	if took < len(notices) {
		a = answers[took]
	}
	return took, a
}

// attempt makes one request.
func (s *sender) attempt(ctx context.Context, notices []storage.QueuedNotice) (a answer) {
	begun := time.Now()
	defer func() {
		s.engine.Metrics.attempts.WithLabelValues(string(s.id.App), s.id.Name, a.class()).Inc()
		s.engine.Metrics.duration.WithLabelValues(string(s.id.App), s.id.Name).Observe(time.Since(begun).Seconds())
	}()
	ctx, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	request, err := s.request(ctx, notices)
	if err != nil {
		return answer{fault: "not written"}
	}
	response, err := s.engine.Client.Do(request) //nolint:bodyclose // Drain closes it
	if err != nil {
		return answer{fault: faultOf(err)}
	}
	egress.Drain(response, maxAnswer)
	return answerOf(response, time.Now())
}

// patience is how long a request may take.
func (s *sender) patience() time.Duration {
	if s.hook.Form == diaphone.FormStandard {
		return Timeout
	}
	return pusherTimeout
}

func (s *sender) request(ctx context.Context, notices []storage.QueuedNotice) (*http.Request, error) {
	if s.hook.Form == diaphone.FormStandard {
		return standardRequest(ctx, s.hook, &notices[0], s.tries+1, time.Now())
	}
	body, err := encode(notices)
	if err != nil {
		return nil, err
	}
	return newRequest(ctx, s.app, s.hook, body, s.tries+1)
}

// taken removes what was delivered from the log. If that fails for good the same
// notices are sent again, with their ids.
func (s *sender) taken(ctx context.Context, notices []storage.QueuedNotice, status int) {
	if s.tries > 0 {
		s.engine.Logger.Info("the webhook is answered again", "webhook", s.id, "tries", s.tries+1)
	}
	s.tries = 0
	count(s.engine.Metrics.delivered, s.id, len(notices))
	s.engine.Metrics.fail(s.id, false)
	s.note(State{LastStatus: status})
	s.insist(ctx, "record what a webhook has taken", func() error {
		return s.engine.Notices.Done(context.WithoutCancel(ctx), s.id, notices[len(notices)-1].Seq)
	})
}

// failed notes an attempt in vain and says how long to wait.
func (s *sender) failed(a *answer) (wait time.Duration) {
	s.tries++
	wait = a.wait(s.tries)
	if s.tries == 1 {
		s.engine.Logger.Warn("a webhook is not answered as it should be; its notices are kept and sent again, for a day",
			"webhook", s.id, "fault", a.fault)
	}
	s.engine.Metrics.fail(s.id, true)
	now := time.Now()
	next := State{FailingSince: s.state.FailingSince, NextAttempt: now.Add(wait), LastStatus: a.status, LastError: a.fault}
	if next.FailingSince.IsZero() {
		next.FailingSince = now
	}
	s.note(next)
	return wait
}

// note changes the state, which only run does.
func (s *sender) note(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// bury gives up what has waited for too long, all of it: else what waits behind an
// endpoint that is gone for good would grow for ever.
func (s *sender) bury(ctx context.Context, a *answer) {
	for ctx.Err() == nil {
		notices, err := s.engine.Notices.Front(ctx, s.id, buryPage)
		if err != nil {
			s.troubled(ctx, "read the log of a webhook", err)
			return
		}
		now := time.Now()
		old := 0
		if len(notices) > 0 && s.ahead[notices[0].Seq] { // it was taken
			s.insist(ctx, "record what a webhook has taken", func() error {
				return s.engine.Notices.Done(context.WithoutCancel(ctx), s.id, notices[0].Seq)
			})
			continue
		}
		for old < len(notices) && !s.ahead[notices[old].Seq] && now.Sub(notices[old].Since) > giveUpAfter {
			old++
		}
		if old == 0 {
			return
		}
		count(s.engine.Metrics.buried, s.id, old)
		s.engine.Logger.Error("notices of a webhook were not taken for a day: they are dead letters now, and can be sent again",
			"webhook", s.id, "notices", old, "fault", a.fault)
		s.insist(ctx, "bury notices of a webhook", func() error {
			return s.engine.Notices.Bury(context.WithoutCancel(ctx), s.id, notices[old-1].Seq, a.fault, now)
		})
	}
}

// insist has something recorded, again and again until ctx ends.
func (s *sender) insist(ctx context.Context, doing string, record func() error) {
	for err := record(); err != nil; err = record() {
		s.troubled(ctx, doing, err)
		if ctx.Err() != nil {
			return
		}
	}
}

// troubled logs an error of the store and waits a little, unless we are stopped anyway.
func (s *sender) troubled(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		s.engine.Logger.Error("the store failed; trying again soon", "doing", doing, "webhook", s.id, "error", err)
		pause(ctx, time.Second, nil)
	}
}
