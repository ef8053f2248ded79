package bolt

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// The words of the history that records abbreviate. Only ever append to these.

func states() []string {
	return []string{
		string(diaphone.Pending), string(diaphone.Delivered), string(diaphone.Failed),
		string(diaphone.Expired), string(diaphone.Suppressed), string(diaphone.Cancelled),
	}
}

func verdicts() []string {
	return []string{
		string(diaphone.Accepted), string(diaphone.Refused), string(diaphone.Gone), string(diaphone.Suspect),
		string(diaphone.Retry), string(diaphone.Throttled), string(diaphone.Denied), string(diaphone.Unknown),
	}
}

// step is what one settle did to one delivery.
type step struct {
	index   uint32
	state   diaphone.State
	reason  string
	attempt *diaphone.Attempt
	retryAt int64 // ms
}

// Which parts of a step are there.
const (
	hasReason = 1 << iota
	hasAttempt
	hasRetry
)

// putSteps appends the results of one settle to a page's history. Texts that
// hundreds of results share are written once: reasons, and what FCM's ids begin with.
func (t *txn) putSteps(of message, page uint32, results []storage.Result) error {
	order, err := t.nextOrder()
	if err != nil {
		return err
	}
	var words []string
	word := func(s string) int {
		if i := slices.Index(words, s); i >= 0 {
			return i
		}
		words = append(words, s)
		return len(words) - 1
	}
	base := int64(0)
	body := make(record, 0, 24*len(results))
	for i := range results {
		res := &results[i]
		if base == 0 && res.Attempt != nil {
			base = millis(res.Attempt.At)
		}
		writeStep(&body, res, base, word)
	}
	r := newRecord(len(body) + 64)
	r.int(base)
	writeTexts(&r, words)
	r.number(len(results))
	r.raw(body)
	return t.put(inHistory, of.step(page, order), r)
}

func writeStep(r *record, res *storage.Result, base int64, word func(string) int) {
	has := byte(0)
	if res.Reason != "" {
		has |= hasReason
	}
	if res.Attempt != nil {
		has |= hasAttempt
	}
	if res.State == diaphone.Pending {
		has |= hasRetry
	}
	r.uint(uint64(res.Index))
	r.byte(has)
	r.symbol(states(), string(res.State))
	if has&hasReason != 0 {
		r.number(word(res.Reason))
	}
	if a := res.Attempt; a != nil {
		r.int(millis(a.At) - base)
		r.symbol(verdicts(), string(a.Verdict))
		r.number(a.Status)
		r.number(word(a.Reason))
		cut := strings.LastIndexByte(a.ProviderID, '/') + 1
		r.number(word(a.ProviderID[:cut]))
		r.packed(a.ProviderID[cut:])
		r.uint(uint64(max(a.Latency, 0).Microseconds()))
	}
	if has&hasRetry != 0 {
		r.int(retryDue(res.RetryAt) - base)
	}
}

func decodeSteps(r reader) ([]step, error) { return decodeStepsOf(r, 0, math.MaxInt) }

// decodeStepsOf gives the steps of the entries from to to of the page, and passes over
// those of the others.
func decodeStepsOf(r reader, from, to int) ([]step, error) {
	base := r.int()
	words := readTexts[string](&r)
	word := func() string {
		if i := r.number(); i < len(words) {
			return words[i]
		}
		r.fail("unknown word")
		return ""
	}
	n := r.count()
	steps := make([]step, 0, max(0, min(n, to-from)))
	known, found := states(), verdicts()
	for range n {
		s := step{index: uint32(r.number())}
		has := r.byte()
		s.state = diaphone.State(r.symbol(known))
		if i := int(s.index); i < from || i >= to {
			r.passStep(has, found)
			continue
		}
		if has&hasReason != 0 {
			s.reason = word()
		}
		if has&hasAttempt != 0 {
			s.attempt = &diaphone.Attempt{At: fromMillis(base + r.int())}
			s.attempt.Verdict = diaphone.Verdict(r.symbol(found))
			s.attempt.Status = r.number()
			s.attempt.Reason = word()
			s.attempt.ProviderID = word() + r.packed()
			s.attempt.Latency = time.Duration(r.uint()) * time.Microsecond
		}
		if has&hasRetry != 0 {
			s.retryAt = base + r.int()
		}
		steps = append(steps, s)
	}
	return steps, r.end()
}

// passStep passes over what is left of a step behind its state.
func (r *reader) passStep(has byte, verdicts []string) {
	if has&hasReason != 0 {
		r.number()
	}
	if has&hasAttempt != 0 {
		r.int()
		r.symbol(verdicts)
		r.number()
		r.number()
		r.number()
		r.passPacked()
		r.uint()
	}
	if has&hasRetry != 0 {
		r.int()
	}
}

// Message implements storage.History.
func (s *Store) Message(ctx context.Context, app diaphone.AppID, id diaphone.MessageID) (report storage.MessageReport, err error) {
	of, err := messageOf(app, id)
	if err != nil {
		return storage.MessageReport{}, err
	}
	err = s.view(ctx, func(t *txn) error {
		m, p, err := t.known(of, id)
		if err != nil {
			return err
		}
		report = p.report(m)
		report.Receipts, err = t.receiptCounts(of)
		return err
	})
	return report, err
}

// known gives a message and how far it has come, or NotFound.
func (t *txn) known(of message, id diaphone.MessageID) (*diaphone.Message, *progress, error) {
	p, ok, err := t.progress(of)
	if err != nil {
		return nil, nil, err
	}
	m, there, err := t.message(of)
	switch {
	case err != nil:
		return nil, nil, err
	case !ok || !there:
		return nil, nil, noMessage(id)
	}
	return m, p, nil
}

func (p *progress) report(m *diaphone.Message) storage.MessageReport {
	r := storage.MessageReport{
		Message: m, State: diaphone.Processing, Counts: p.counts, Planned: p.planned, FinishedAt: fromMillis(p.finished),
		CancelledAt: fromMillis(p.cancelled), Unsent: p.unsent,
	}
	switch {
	case p.scheduled:
		r.State = diaphone.Scheduled
	case p.finished != 0:
		r.State = diaphone.Finished
	}
	return r
}

// Deliveries implements storage.History.
func (s *Store) Deliveries(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, page storage.Page) (reports []storage.DeliveryReport, next string, err error) {
	of, err := messageOf(app, id)
	if err != nil {
		return nil, "", err
	}
	if err := checkLimit(page); err != nil {
		return nil, "", err
	}
	list := cursor{kind: "deliveries", of: string(of.key())}
	at, err := list.parse(page.Cursor, 2)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(t *txn) error {
		reports, next = nil, ""
		p, ok, err := t.progress(of)
		if err != nil {
			return err
		}
		if !ok {
			return noMessage(id)
		}
		from := int(at[1])
		for number := uint32(at[0]); number < p.pages; number, from = number+1, 0 {
			r, ok, err := t.roster(of, number)
			if err != nil && !isDamage(err) {
				return err
			}
			if err != nil || !ok {
				continue // damaged: the others can still be told
			}
			if len(reports) == page.Limit {
				next = list.text(uint64(number), 0)
				return nil
			}
			to := min(len(r.entries), from+page.Limit-len(reports))
			reports = append(reports, t.reports(of, number, r, min(from, to), to)...)
			if to < len(r.entries) {
				next = list.text(uint64(number), uint64(to))
				return nil
			}
		}
		return nil
	})
	return reports, next, err
}

// Delivery implements storage.History.
func (s *Store) Delivery(ctx context.Context, app diaphone.AppID, id diaphone.MessageID, device diaphone.DeviceID) (report storage.DeliveryReport, err error) {
	of, err := messageOf(app, id)
	if err != nil {
		return storage.DeliveryReport{}, err
	}
	err = s.view(ctx, func(t *txn) error {
		m, p, err := t.known(of, id)
		if err != nil {
			return err
		}
		found, err := newPlan(t, of, m, p, nil).find(device)
		if err != nil {
			return err
		}
		if found == nil {
			return diaphone.Errorf(diaphone.NotFound, "the message is owed to no device %q", string(device[:min(len(device), 128)]))
		}
		report = t.reports(of, found.page, found.roster, found.index, found.index+1)[0]
		return nil
	})
	return report, err
}

// reports folds the history of a page into what became of entries from to to.
func (t *txn) reports(of message, page uint32, r *roster, from, to int) []storage.DeliveryReport {
	reports := make([]storage.DeliveryReport, to-from)
	for i := range reports {
		e := &r.entries[from+i]
		reports[i] = storage.DeliveryReport{Device: e.device, State: diaphone.Pending}
		if e.lane < 0 {
			reports[i].State, reports[i].Reason = diaphone.Failed, e.reason
		} else {
			reports[i].Lane = r.lanes[e.lane]
		}
	}
	t.scan(inHistory, of.page(page), nil, func(k, v []byte) bool {
		record, err := open(inHistory, k, v)
		var steps []step
		if err == nil {
			steps, err = decodeStepsOf(record, from, to)
		}
		if err != nil {
			_ = t.bad(inHistory, k, v, err)
			return true
		}
		for _, s := range steps {
			s.tell(&reports[int(s.index)-from])
		}
		return true
	})
	if t.bucket(inReported).Get(of.key()) == nil {
		return reports // nothing was reported
	}
	for i := range reports {
		if kept, ok, err := t.receiptsOf(of, reports[i].Device); ok && err == nil {
			reports[i].Receipts = kept.list()
		}
	}
	return reports
}

// tell adds the step to the story of its delivery.
func (s *step) tell(r *storage.DeliveryReport) {
	r.State, r.Reason, r.RetryAt = s.state, s.reason, fromMillis(s.retryAt)
	if s.attempt != nil {
		r.Attempts = append(r.Attempts, *s.attempt)
	}
}
