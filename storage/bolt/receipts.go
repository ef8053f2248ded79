package bolt

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// receiptKinds are the words that records of receipts abbreviate. Only ever append to these.
func receiptKinds() []string {
	return []string{
		string(diaphone.ReceiptDelivered), string(diaphone.ReceiptDisplayed), string(diaphone.ReceiptOpened),
		string(diaphone.ReceiptDismissed), string(diaphone.ReceiptDecryptFailed),
	}
}

// Report implements storage.Receipts.
func (s *Store) Report(ctx context.Context, app diaphone.AppID, id diaphone.DeviceID, receipts []diaphone.Receipt, now time.Time) (r storage.Reported, err error) {
	var owed []reporting
	err = s.view(ctx, func(t *txn) error { // what may have to look through a plan holds up no writer
		d, ok, err := t.deviceByID(app, id)
		if err != nil {
			return err
		}
		if !ok {
			return noDevice(id)
		}
		owed = make([]reporting, len(receipts))
		for i := range receipts {
			if owed[i], err = t.reporting(d, &receipts[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || !slices.ContainsFunc(owed, func(o reporting) bool { return o.fresh }) {
		r.Answers = answers(owed)
		return r, err
	}
	err = s.write(ctx, adds, func(t *txn) error {
		again := slices.Clone(owed)
		for i := range again {
			if err := t.report(&again[i], id, &receipts[i], now); err != nil {
				return err
			}
		}
		r.Answers = answers(again)
		return nil
	})
	return r, err
}

// reporting is one receipt on its way.
type reporting struct {
	storage.ReceiptAnswer
	of    message
	fresh bool // there was none of its kind
}

func answers(all []reporting) []storage.ReceiptAnswer {
	out := make([]storage.ReceiptAnswer, len(all))
	for i := range all {
		out[i] = all[i].ReceiptAnswer
	}
	return out
}

// reporting finds what a receipt is of.
func (t *txn) reporting(d *device, r *diaphone.Receipt) (reporting, error) {
	o := reporting{ReceiptAnswer: storage.ReceiptAnswer{Fate: storage.ReceiptUnknown}}
	var err error
	if o.of, err = messageOf(d.App, r.Message); err != nil {
		return o, nil //nolint:nilerr // text that is no id is the id of no message
	}
	p, m, err := t.unfinished(o.of)
	if err != nil || p == nil || m == nil {
		return o, err
	}
	if owed, err := t.owed(o.of, p, m, d); err != nil || !owed {
		return o, err
	}
	o.Message, o.Finished, o.Fate = m, p.finished != 0, storage.ReceiptKnown
	if d.userSince < p.order {
		o.User = d.User
	}
	kept, _, err := t.receiptsOf(o.of, d.ID)
	if err != nil && !isDamage(err) {
		return o, err
	}
	o.fresh = kept[r.Kind].Came.IsZero()
	return o, nil
}

// owed tells whether a message was planned for a device. One that has belonged to the
// audience since before the Accept was; for one that has left something since, the plan
// itself is asked.
func (t *txn) owed(of message, p *progress, m *diaphone.Message, d *device) (bool, error) {
	if p.scheduled || p.unsent || p.pages == 0 {
		return false, nil
	}
	plan := newPlan(t, of, m, p, nil)
	if first, _ := plan.firstMembership(d, -1); first >= 0 {
		return true, nil
	}
	if d.lost <= p.order || d.num > p.order {
		return false, nil
	}
	found, err := plan.find(d.ID)
	return found != nil, err
}

// report keeps a receipt, unless that has happened meanwhile.
func (t *txn) report(o *reporting, id diaphone.DeviceID, r *diaphone.Receipt, now time.Time) error {
	if !o.fresh {
		return nil
	}
	if t.bucket(inProgress).Get(o.of.key()) == nil { // swept meanwhile
		o.ReceiptAnswer = storage.ReceiptAnswer{Fate: storage.ReceiptUnknown}
		return nil
	}
	kept, _, err := t.receiptsOf(o.of, id)
	if err != nil && !isDamage(err) {
		return err
	}
	if !kept[r.Kind].Came.IsZero() {
		return nil
	}
	o.Fate = storage.ReceiptKept
	if kept == nil {
		kept = receiptRecord{}
	}
	kept[r.Kind] = storage.DeviceReceipt{Kind: r.Kind, At: r.Plausible(o.Message.Begins(), now), Came: now}
	counts, err := t.receiptCounts(o.of)
	if err != nil { // damage, too: they are counted anew first
		return err
	}
	n := counts.Of(r.Kind)
	if n == nil {
		return diaphone.Errorf(diaphone.Internal, "a receipt has the kind %q", string(r.Kind))
	}
	*n++
	if err := t.put(inReceipts, receiptKey(o.of, id), kept.record()); err != nil {
		return err
	}
	return t.put(inReported, o.of.key(), countsRecord(&counts))
}

// receiptRecord is what one device has reported of one message.
type receiptRecord map[diaphone.ReceiptKind]storage.DeviceReceipt

// receiptKey is the key of what a device has reported.
func receiptKey(of message, id diaphone.DeviceID) key { return of.key().text(string(id)) }

func (t *txn) receiptsOf(of message, id diaphone.DeviceID) (receiptRecord, bool, error) {
	return read(t, inReceipts, receiptKey(of, id), decodeReceipts)
}

func (r receiptRecord) record() record {
	out := newRecord(4 + 12*len(r))
	out.number(len(r))
	for _, kind := range receiptKinds() {
		if one, ok := r[diaphone.ReceiptKind(kind)]; ok {
			out.symbol(receiptKinds(), kind)
			out.time(one.Came)
			out.int(millis(one.At) - millis(one.Came))
		}
	}
	return out
}

func decodeReceipts(r reader) (receiptRecord, error) {
	out := receiptRecord{}
	for range r.count() {
		one := storage.DeviceReceipt{Kind: diaphone.ReceiptKind(r.symbol(receiptKinds())), Came: r.time()}
		one.At = fromMillis(millis(one.Came) + r.int())
		out[one.Kind] = one
	}
	return out, r.end()
}

// list gives what was reported in the order in which it came.
func (r receiptRecord) list() (all []storage.DeviceReceipt) {
	for _, kind := range diaphone.ReceiptKinds() {
		if one, ok := r[kind]; ok {
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b storage.DeviceReceipt) int { return a.Came.Compare(b.Came) })
	return all
}

func (t *txn) receiptCounts(of message) (diaphone.ReceiptCounts, error) {
	counts, _, err := read(t, inReported, of.key(), decodeReceiptCounts)
	return counts, err
}

func countsRecord(c *diaphone.ReceiptCounts) record {
	out := newRecord(16)
	for _, kind := range receiptKinds() {
		out.uint(uint64(*c.Of(diaphone.ReceiptKind(kind))))
	}
	return out
}

func decodeReceiptCounts(r reader) (c diaphone.ReceiptCounts, err error) {
	for _, kind := range receiptKinds() {
		*c.Of(diaphone.ReceiptKind(kind)) = int64(r.uint())
	}
	return c, r.end()
}

// countReceipts counts what devices have reported of one message, or (no key) of each.
func (t *txn) countReceipts(of key) map[message]diaphone.ReceiptCounts {
	all := map[message]diaphone.ReceiptCounts{}
	t.scan(inReceipts, of, nil, func(k, v []byte) bool {
		m, _, ok := cutMessage(k)
		kept, sound := readAs(t, inReceipts, k, v, decodeReceipts)
		if !ok || !sound {
			return true
		}
		counts := all[m]
		for kind := range kept {
			if n := counts.Of(kind); n != nil {
				*n++
			}
		}
		all[m] = counts
		return true
	})
	return all
}

// recountAllReceipts makes the counts of all messages true.
func (t *txn) recountAllReceipts() error {
	all := t.countReceipts(nil)
	var stray []key
	t.scan(inReported, nil, nil, func(k, _ []byte) bool {
		m, _, ok := cutMessage(k)
		if _, reported := all[m]; !ok || !reported {
			stray = append(stray, bytes.Clone(k))
		}
		return true
	})
	for _, k := range stray {
		if err := t.delete(inReported, k); err != nil {
			return err
		}
	}
	for of, counts := range all {
		if err := t.put(inReported, of.key(), countsRecord(&counts)); err != nil {
			return err
		}
	}
	return nil
}

// recountReceipts makes the counts of a message true again after records were put aside.
func (t *txn) recountReceipts(of key) error {
	for _, counts := range t.countReceipts(of) {
		return t.put(inReported, of, countsRecord(&counts))
	}
	if t.bucket(inReported).Get(of) == nil {
		return nil
	}
	return t.delete(inReported, of)
}
