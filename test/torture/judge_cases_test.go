package torture

import (
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// done is a delivery that a provider has accepted.
func done(d diaphone.DeviceID) wire.Delivery {
	return wire.Delivery{DeviceID: d, State: diaphone.Delivered, Attempts: []wire.Attempt{{Verdict: diaphone.Accepted, Status: 200}}}
}

func finished(all ...wire.Delivery) report {
	return report{finished: true, counts: tally(all), deliveries: all}
}

// faultless is a ledger in which all is well: a message to two phones, one that was
// refused because the disk was full, one that nobody knows anything of but its phone,
// and a kill across which a phone saw one of them twice.
func faultless() *ledger {
	return &ledger{
		publishes: []*publish{
			{key: "k1", owed: []diaphone.DeviceID{"a", "b"}, outcome: accepted, ids: []diaphone.MessageID{"m1", "m1"}},
			{key: "k2", owed: []diaphone.DeviceID{"a"}, outcome: refused, status: 507},
			{key: "k3", owed: []diaphone.DeviceID{"a"}, outcome: unknown},
		},
		sights: []sight{
			{"a", "k1", "n1", after(1)}, {"b", "k1", "n2", after(1)}, {"a", "k1", "n1", after(5)}, {"a", "k3", "n3", after(2)},
		},
		reports:    map[diaphone.MessageID]report{"m1": finished(done("a"), done("b"))},
		glimpses:   []glimpse{{"k1", wire.Counts{Accepted: 2, Pending: 1, Delivered: 1}}},
		heard:      []connection{{{"p", 1}, {"q", 1}, {"p", 3}}, {{"p", 2}}},
		registered: map[diaphone.DeviceID]bool{"a": true, "b": true},
		tokens:     map[diaphone.DeviceID]int{"a": 1, "b": 1, "c": 1},
		terms:      terms{within: time.Minute, cuts: []cut{{after(3), after(4), 2}}, refuses: []int{507}},
		settled:    time.Second,
	}
}

func TestTheJudgePassesWhatIsWell(t *testing.T) {
	v := judge(faultless())
	if len(v.faults) > 0 || v.lost > 0 {
		t.Errorf("faults of a faultless ledger: %q", v.faults)
	}
	if v.accepted != 1 || v.refused != 1 || v.unknown != 1 || v.deliveries != 2 || v.duplicates != 1 || v.bound != 2 || v.heard != 4 {
		t.Errorf("%+v", v)
	}
}

func TestTheJudgeRefuses(t *testing.T) {
	failed := wire.Delivery{DeviceID: "b", State: diaphone.Failed, Reason: "Unregistered"}
	for _, c := range []struct {
		name  string
		spoil func(l *ledger)
		fault string
		lost  int
	}{
		{"a message that is gone", func(l *ledger) { delete(l.reports, "m1") }, "does not know it", 1},
		{"a device without a delivery", func(l *ledger) {
			l.reports["m1"] = finished(done("a"))
			l.sights = l.sights[2:]
		}, "k1 has no delivery to b", 1},
		{"delivered to nobody", func(l *ledger) { l.sights = append(l.sights[:1:1], l.sights[2:]...) }, "which has never seen it", 1},
		{"delivered without an attempt", func(l *ledger) {
			l.reports["m1"] = finished(done("a"), wire.Delivery{DeviceID: "b", State: diaphone.Delivered})
		}, "delivered to b by []", 0},
		{"failed without an excuse", func(l *ledger) { l.reports["m1"] = finished(done("a"), failed) }, "without an excuse", 1},
		{"an excuse for another device", func(l *ledger) {
			l.reports["m1"] = finished(done("a"), failed)
			l.excuses = []excuse{{diaphone.Failed, []string{"Unregistered"}, map[diaphone.DeviceID]bool{"a": true}, 0}}
		}, "without an excuse", 1},
		{"an excuse too many", func(l *ledger) {
			also := failed
			also.DeviceID = "a"
			l.reports["m1"] = finished(also, failed)
			l.excuses = []excuse{{diaphone.Failed, []string{"Unregistered"}, nil, 1}}
		}, "at most 1 were allowed", 0},
		{"an end without a reason", func(l *ledger) {
			l.reports["m1"] = finished(done("a"), wire.Delivery{DeviceID: "b", State: diaphone.Expired})
			l.excuses = []excuse{{diaphone.Expired, []string{""}, nil, 0}}
		}, "nobody knows why", 0},
		{"counts that do not add up", func(l *ledger) {
			r := l.reports["m1"]
			r.counts.Accepted++
			l.reports["m1"] = r
		}, "the counts are", 0},
		{"counts that did not add up once", func(l *ledger) { l.glimpses[0].counts.Pending++ }, "at some time", 0},
		{"what is pending for ever", func(l *ledger) {
			r := finished(done("a"), wire.Delivery{DeviceID: "b", State: diaphone.Pending})
			r.finished = false
			l.reports["m1"] = r
		}, "pending still", 0},
		{"two deliveries to one device", func(l *ledger) { l.reports["m1"] = finished(done("a"), done("a"), done("b")) }, "two deliveries", 0},
		{"a phone that was owed nothing", func(l *ledger) { l.sights = append(l.sights, sight{"c", "k1", "n9", after(1)}) }, "without a delivery", 0},
		{"what nobody published", func(l *ledger) { l.sights = append(l.sights, sight{"a", "k9", "n9", after(1)}) }, "nobody has published", 0},
		{"what was refused", func(l *ledger) { l.sights = append(l.sights, sight{"a", "k2", "n9", after(1)}) }, "was refused, and a has seen it", 0},
		{"a refusal out of place", func(l *ledger) { l.publishes[1].status = 422 }, "refused with 422", 0},
		{"one key, two messages", func(l *ledger) { l.publishes[0].ids[1] = "m2" }, "several messages", 0},
		{"one delivery, two ids", func(l *ledger) { l.sights[2].id = "n9" }, "no app could tell", 0},
		{"two deliveries, one id", func(l *ledger) { l.sights[1].id = "n1" }, "is the id of", 0},
		{"no id", func(l *ledger) { l.sights[1].id = "" }, "has no id", 0},
		{"a duplicate before the kill", func(l *ledger) { l.sights[2].at = after(2) }, "no cut explains", 0},
		{"a duplicate after the kill", func(l *ledger) { l.sights[0].at = after(5) }, "no cut explains", 0},
		{"more duplicates than were in flight", func(l *ledger) {
			l.sights = append(l.sights, sight{"b", "k1", "n2", after(5)}, sight{"a", "k3", "n3", after(6)})
		}, "no cut explains", 0},
		{"a registration that is gone", func(l *ledger) { delete(l.tokens, "b") }, "the registration of b", 1},
		{"a token deleted for nothing", func(l *ledger) { l.tokens["b"] = 0 }, "the token of b was given up", 1},
		{"a dead token that stays", func(l *ledger) { l.dead = map[diaphone.DeviceID]bool{"b": true} }, "which is dead", 0},
		{"a socket that hears twice", func(l *ledger) { l.heard[1] = connection{{"p", 2}, {"p", 2}} }, "2 of p after 2", 0},
		{"a socket that hears out of order", func(l *ledger) { l.heard[1] = connection{{"p", 2}, {"p", 1}} }, "1 of p after 2", 0},
		{"cancelled without a wish", func(l *ledger) {
			l.reports["m1"] = finished(done("a"), wire.Delivery{DeviceID: "b", State: diaphone.Cancelled, Reason: diaphone.ReasonCancelled})
		}, "without an excuse", 1},
		{"not planned without a wish", func(l *ledger) {
			r := finished(done("a"))
			r.cancelled = true
			l.reports["m1"], l.sights = r, append(l.sights[:1:1], l.sights[2:]...)
		}, "has no delivery to b", 1},
		{"shown after it was cancelled", func(l *ledger) { l.publishes[0].recall = &recall{after(2), 0} }, "then 1 phones were shown it", 0},
		{"what takes too long", func(l *ledger) { l.settled = time.Hour }, "settled after", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := faultless()
			c.spoil(l)
			v := judge(l)
			if len(v.faults) == 0 || !strings.Contains(strings.Join(v.faults, "\n"), c.fault) {
				t.Errorf("faults %q, want %q among them", v.faults, c.fault)
			}
			if v.lost != c.lost {
				t.Errorf("%d lost, want %d: %q", v.lost, c.lost, v.faults)
			}
		})
	}
}

// TestTheJudgePassesACancelledMessage: one phone had it before, one is spared, one was
// in flight.
func TestTheJudgePassesACancelledMessage(t *testing.T) {
	l := faultless()
	l.publishes[0].recall = &recall{after(1), 1}
	l.reports["m1"] = finished(done("a"), wire.Delivery{DeviceID: "b", State: diaphone.Cancelled, Reason: diaphone.ReasonCancelled})
	l.sights = []sight{{"a", "k1", "n1", after(2)}}
	if v := judge(l); len(v.faults) > 0 {
		t.Errorf("faults: %q", v.faults)
	}
	unplanned := l.reports["m1"]
	unplanned.deliveries, unplanned.cancelled = unplanned.deliveries[:1], true
	unplanned.counts = tally(unplanned.deliveries)
	l.reports["m1"] = unplanned
	l.publishes[0].recall.answered = time.Time{} // nobody knows whether it was
	l.publishes[0].recall.tooLate = 0
	if v := judge(l); len(v.faults) > 0 {
		t.Errorf("faults: %q", v.faults)
	}
}

// TestDuplicatesFindTheirCuts: a pair that could have come of either of two cuts does
// not take the one that another needs.
func TestDuplicatesFindTheirCuts(t *testing.T) {
	l := faultless()
	l.cuts = []cut{{after(3), after(3), 1}, {after(6), after(6), 1}}
	l.sights = []sight{
		{"a", "k1", "n1", after(1)}, {"a", "k1", "n1", after(9)}, // across both
		{"b", "k1", "n2", after(2)}, {"b", "k1", "n2", after(4)}, // across the first
	}
	if v := judge(l); len(v.faults) > 0 || v.duplicates != 2 || v.bound != 2 {
		t.Errorf("%+v", v)
	}
	l.cuts[1].inFlight = 0
	if v := judge(l); v.unexplained != 1 {
		t.Errorf("%+v, want one unexplained", v)
	}
}
