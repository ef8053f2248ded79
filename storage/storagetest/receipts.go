package storagetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func receiptTests() []test {
	return []test{
		{"each kind once", receiptsOnce},
		{"times", receiptTimes},
		{"only of what was owed", receiptsOwed},
		{"of a message that was left since", receiptsLeft},
		{"swept with the message", receiptsSwept},
	}
}

// says has a device report a kind of some messages, and gives the fates as one text.
func (e *env) says(id diaphone.DeviceID, second float64, k diaphone.ReceiptKind, of ...*diaphone.Message) string {
	e.Helper()
	var all []diaphone.Receipt
	for _, m := range of {
		all = append(all, diaphone.Receipt{Message: m.ID, Kind: k, At: at(second)})
	}
	r, err := e.s.Report(e.ctx, app, id, all, at(second))
	e.no(err, "report")
	equal(e, len(r.Answers), len(of), "answers")
	text := ""
	for i, a := range r.Answers {
		text += string(a.Fate) + " "
		if (a.Fate == storage.ReceiptUnknown) != (a.Message == nil) || a.Message != nil && a.Message.ID != of[i].ID {
			e.Errorf("%s with the message %+v", a.Fate, a.Message)
		}
	}
	return text
}

func receiptsOnce(e *env) {
	e.put(phone("a", ofUser("ana")))
	e.put(phone("b", ofUser("ana")))
	m := e.message(1, toUsers("ana"))
	e.accept(m)
	equal(e, e.says("a", 2, diaphone.ReceiptDisplayed, m, m), "kept known ", "twice at once")
	equal(e, e.says("a", 3, diaphone.ReceiptDisplayed, m), "known ", "again")
	equal(e, e.says("b", 4, diaphone.ReceiptDisplayed, m), "kept ", "of another device")
	e.s = e.reopen()
	equal(e, e.says("a", 5, diaphone.ReceiptOpened, m), "kept ", "another kind")
	equal(e, e.says("a", 6, diaphone.ReceiptDisplayed, m), "known ", "again, after reopening")
	equal(e, e.report(m).Receipts, diaphone.ReceiptCounts{Displayed: 2, Opened: 1}, "counts")
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 2, Pending: 2}, "the counts of deliveries")
	want := []storage.DeviceReceipt{{Kind: diaphone.ReceiptDisplayed, At: at(2), Came: at(2)}, {Kind: diaphone.ReceiptOpened, At: at(5), Came: at(5)}}
	for _, d := range e.deliveries(m, 1) {
		if d.Device == "a" && !slices.EqualFunc(d.Receipts, want, func(a, b storage.DeviceReceipt) bool {
			return a.Kind == b.Kind && a.At.Equal(b.At) && a.Came.Equal(b.Came)
		}) {
			e.Errorf("device a reports %+v, want %+v", d.Receipts, want)
		}
		if d.Device == "b" && len(d.Receipts) != 1 {
			e.Errorf("device b reports %+v", d.Receipts)
		}
	}
	r, err := e.s.Report(e.ctx, app, "a", []diaphone.Receipt{{Message: m.ID, Kind: diaphone.ReceiptOpened, At: at(7)}}, at(7))
	e.no(err, "report again")
	equal(e, r.Answers[0].User, "ana", "whose the device is")
	_, err = e.s.Report(e.ctx, app, "nobody", nil, at(7))
	e.code(err, diaphone.NotFound, "report of no device")
	for _, b := range e.claim(fcmLane(app), 8, 10) {
		e.settle(9, all(&b, diaphone.Delivered))
	}
	r, err = e.s.Report(e.ctx, app, "b", []diaphone.Receipt{{Message: m.ID, Kind: diaphone.ReceiptDismissed}}, at(10))
	e.no(err, "report")
	equal(e, fmt.Sprint(r.Answers[0].Fate, r.Answers[0].Finished), "kepttrue", "of a finished message")
}

func receiptTimes(e *env) {
	e.put(phone("a"))
	for i, c := range []struct{ says, came, want float64 }{{5, 9, 5}, {0.5, 9, 9}, {10, 9, 9}, {1, 9, 1}, {9, 9, 9}} {
		m := e.message(1, toDevices("a"))
		e.accept(m)
		_, err := e.s.Report(e.ctx, app, "a", []diaphone.Receipt{{Message: m.ID, Kind: diaphone.ReceiptOpened, At: at(c.says)}}, at(c.came))
		e.no(err, "report")
		if got := e.deliveries(m, 10)[0].Receipts[0]; !got.At.Equal(at(c.want)) || !got.Came.Equal(at(9)) {
			e.Errorf("case %d: %+v", i, got)
		}
	}
	m := e.message(1, toDevices("a"))
	e.accept(m)
	_, err := e.s.Report(e.ctx, app, "a", []diaphone.Receipt{{Message: m.ID, Kind: diaphone.ReceiptOpened, At: time.Time{}}}, at(9))
	e.no(err, "report without a time")
	if got := e.deliveries(m, 10)[0].Receipts[0]; !got.At.Equal(at(9)) {
		e.Errorf("without a time: %+v", got)
	}
}

func receiptsOwed(e *env) {
	e.put(phone("a", ofUser("ana"), on("news")))
	e.put(phone("b"))
	e.put(phone("a", in(other), ofUser("ana"), on("news")))
	toAna, toNews, toB := e.message(1, toUsers("ana")), e.message(1, toChannels("news")), e.message(1, toDevices("b"))
	later := e.message(1, toUsers("ana"))
	later.SendAt = at(1000)
	foreign := e.message(1, toUsers("ana"))
	foreign.App = other
	for _, m := range []*diaphone.Message{toAna, toNews, toB, later} {
		e.accept(m)
	}
	_, err := e.s.Accept(e.ctx, foreign, storage.Idempotency{}, route)
	e.no(err, "accept")
	e.put(phone("late", ofUser("ana"), on("news")))
	never, nonsense := e.message(1, toUsers("ana")), e.message(1, toUsers("ana"))
	nonsense.ID = "x"
	for _, k := range diaphone.ReceiptKinds() {
		equal(e, e.says("a", 2, k, toAna, toNews, toB, later, foreign, never, nonsense), "kept kept unknown unknown unknown unknown unknown ", "device a, %s", k)
		equal(e, e.says("late", 2, k, toAna, toNews), "unknown unknown ", "who came later, %s", k)
	}
	equal(e, e.report(toB).Receipts, diaphone.ReceiptCounts{}, "counts of a message of others")
	equal(e, e.report(toNews).Receipts, diaphone.ReceiptCounts{Delivered: 1, Displayed: 1, Opened: 1, Dismissed: 1, DecryptFailed: 1}, "counts")
}

func receiptsLeft(e *env) {
	e.put(phone("a", ofUser("ana"), on("news", "sport")))
	e.put(phone("b", ofUser("ben"), on("sport")))
	news, both := e.message(1, toChannels("news")), e.message(1, toChannels("news", "sport"))
	e.accept(news)
	e.accept(both)
	e.no(Leave(e.ctx, e.s, app, "a", "news"), "leave")
	e.no(Leave(e.ctx, e.s, app, "b", "sport"), "leave")
	equal(e, e.says("a", 2, diaphone.ReceiptDelivered, news, both), "kept kept ", "who has left")
	equal(e, e.says("b", 2, diaphone.ReceiptDelivered, news, both), "unknown kept ", "who has left something else")
}

func receiptsSwept(e *env) {
	e.put(phone("a"))
	old, young := e.message(1, toDevices("a")), e.message(50, toDevices("a"))
	for _, m := range []*diaphone.Message{old, young} {
		e.accept(m)
		for _, b := range e.claim(fcmLane(app), 51, 10) {
			e.settle(52, all(&b, diaphone.Delivered))
		}
		equal(e, e.says("a", 53, diaphone.ReceiptOpened, m), "kept ", "report")
	}
	removed, _, err := e.s.Sweep(e.ctx, at(20), 10)
	e.no(err, "sweep")
	equal(e, removed, 1, "swept")
	equal(e, e.says("a", 54, diaphone.ReceiptOpened, old, young), "unknown known ", "after the sweep")
	equal(e, e.report(young).Receipts.Opened, int64(1), "counts of what stays")
}
