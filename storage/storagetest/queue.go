package storagetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

func queueTests() []test {
	return []test{
		{"urgent first, then by due time", claimOrder},
		{"urgent only", urgentOnly},
		{"as much as was asked", claimBound},
		{"a lease runs out", leaseRunsOut},
		{"leases do not outlive the process", leasesOfTheDead},
		{"release gives back", releaseGivesBack},
		{"partial settle keeps the rest", partialSettle},
		{"many leased batches in front", behindLeased},
		{"an earlier batch behind a claimed one", insertedBefore},
		{"lanes", lanesListed},
		{"claimers at once", claimRace},
	}
}

func messageIDs(batches []storage.Batch) (ids []diaphone.MessageID) {
	for _, b := range batches {
		ids = append(ids, b.Message.ID)
	}
	return ids
}

func claimOrder(e *env) {
	e.put(phone("d", on("news")))
	bulkOld, urgentLate, urgentEarly, bulkNew := e.message(1, toChannels("news")), e.message(3, toDevices("d")), e.message(2, toDevices("d")), e.message(4, toChannels("news"))
	for _, m := range []*diaphone.Message{bulkOld, urgentLate, urgentEarly, bulkNew} {
		e.accept(m)
	}
	early, next := e.claimNext(fcmLane(app), 0, 10)
	equal(e, len(early), 0, "batches before they are due")
	equal(e, next, at(1), "next")
	got := messageIDs(e.claim(fcmLane(app), 3.5, 10))
	if want := []diaphone.MessageID{urgentEarly.ID, urgentLate.ID, bulkOld.ID}; !slices.Equal(got, want) {
		e.Fatalf("got %v, want %v", got, want)
	}
	_, next = e.claimNext(fcmLane(app), 3.5, 10)
	equal(e, next, at(4), "next, before the leases end")
	equal(e, len(e.claim(apnsLane(app), 9, 10)), 0, "batches of another lane")
	equal(e, len(e.claim(fcmLane(other), 9, 10)), 0, "batches of another app's lane")
}

func urgentOnly(e *env) {
	e.put(phone("d", on("news")))
	bulk, urgent := e.message(1, toChannels("news")), e.message(2, toDevices("d"))
	e.accept(bulk)
	e.accept(urgent)
	claim := storage.Claim{Lane: fcmLane(app), Now: at(1), N: 10, Lease: lease, UrgentOnly: true}
	got, next, err := e.s.Claim(e.ctx, claim)
	e.no(err, "claim")
	equal(e, len(got), 0, "urgent batches before they are due")
	equal(e, next, at(2), "next: bulk that is due does not count")
	claim.Now = at(3)
	got, next, err = e.s.Claim(e.ctx, claim)
	e.no(err, "claim")
	if ids := messageIDs(got); !slices.Equal(ids, []diaphone.MessageID{urgent.ID}) {
		e.Fatalf("got %v, want the urgent one", ids)
	}
	equal(e, next.IsZero(), true, "next: nothing urgent is left")
	claim.UrgentOnly = false
	got, _, err = e.s.Claim(e.ctx, claim)
	e.no(err, "claim")
	equal(e, messageIDs(got)[0], bulk.ID, "the bulk one, asked for all")
}

func claimBound(e *env) {
	e.crowd(30)
	for i := range 30 {
		e.accept(e.message(1, toDevices(diaphone.DeviceID(fmt.Sprintf("d%05d", i)))))
	}
	first, next := e.claimNext(fcmLane(app), 2, 7)
	equal(e, len(first), 7, "batches of one delivery each")
	equal(e, next, at(2), "next when more is due now")
	second, next := e.claimNext(fcmLane(app), 2, 100)
	equal(e, len(second), 23, "the rest")
	if next.Before(at(2)) || next.After(at(2).Add(lease)) {
		e.Fatalf("next %v, want the end of the leases at the latest", next)
	}
	fences := map[uint64]bool{}
	last := uint64(0)
	for _, b := range append(first, second...) {
		fences[b.Fence] = true
		if b.Fence <= last {
			e.Fatalf("fence %d after %d", b.Fence, last)
		}
		last = b.Fence
	}
	equal(e, len(fences), 30, "different fences")

	for _, b := range second {
		e.settle(3, all(&b, diaphone.Delivered))
	}
	for _, b := range first {
		e.settle(3, all(&b, diaphone.Delivered))
	}
	none, next := e.claimNext(fcmLane(app), 1000, 100)
	equal(e, fmt.Sprint(len(none), next.IsZero()), "0 true", "an empty queue")
}

func leaseRunsOut(e *env) {
	e.put(phone("d"))
	m := e.message(1, toDevices("d"))
	e.accept(m)
	old := e.claim(fcmLane(app), 2, 1)
	equal(e, len(old), 1, "batches")
	none, next := e.claimNext(fcmLane(app), 31.9, 1)
	equal(e, len(none), 0, "batches while the lease lasts")
	equal(e, next, at(32), "next")
	again := e.claim(fcmLane(app), 32, 1)
	equal(e, len(again), 1, "batches after the lease")
	if again[0].Fence <= old[0].Fence {
		e.Fatalf("fence %d, after %d", again[0].Fence, old[0].Fence)
	}
	settled := e.settle(33, all(&old[0], diaphone.Failed))
	if !slices.Equal(settled.Fenced, []string{old[0].Key}) || len(settled.Finished) > 0 {
		e.Fatalf("the late settle gave %+v", settled)
	}
	equal(e, e.report(m).Counts.Pending, 1, "pending after the late settle")
	settled = e.settle(34, all(&again[0], diaphone.Delivered))
	equal(e, len(settled.Fenced), 0, "fenced")
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1, Delivered: 1}, "counts")
	settled = e.settle(35, all(&again[0], diaphone.Delivered))
	equal(e, len(settled.Fenced), 1, "fenced when settled twice")
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 1, Delivered: 1}, "counts when settled twice")
}

// leasesOfTheDead: what a process that died had claimed returns at once. In the
// living one, a lease that has run out is still good while nobody else has taken
// the batch: its holder did the work.
func leasesOfTheDead(e *env) {
	e.put(phone("d"))
	m := e.message(1, toDevices("d"))
	e.accept(m)
	old := e.claim(fcmLane(app), 2, 1)
	e.s = e.reopen()
	again := e.claim(fcmLane(app), 2, 1)
	equal(e, len(again), 1, "batches after reopening")
	if again[0].Fence <= old[0].Fence {
		e.Fatalf("fence %d, after %d", again[0].Fence, old[0].Fence)
	}
	equal(e, len(e.settle(3, all(&old[0], diaphone.Delivered)).Fenced), 1, "fenced")
	equal(e, len(e.settle(99, all(&again[0], diaphone.Delivered)).Fenced), 0, "fenced though nobody took it over")
	equal(e, e.report(m).State, diaphone.Finished, "state")
}

func releaseGivesBack(e *env) {
	e.put(phone("d"))
	e.accept(e.message(1, toDevices("d")))
	b := e.claim(fcmLane(app), 2, 1)[0]
	e.settle(3, storage.Settlement{Batch: &b, Release: true})
	again := e.claim(fcmLane(app), 3, 1)
	equal(e, len(again), 1, "batches after the release")
	equal(e, again[0].Items[0].Tries, 0, "tries: giving back is not an attempt")
	equal(e, len(e.settle(4, all(&b, diaphone.Delivered)).Fenced), 1, "fenced: the first claimer gave it back")
}

func partialSettle(e *env) {
	e.crowd(5, on("news"))
	m := e.message(1, toChannels("news"))
	e.accept(m)
	b := e.claim(fcmLane(app), 2, 1)[0]
	equal(e, len(b.Items), 5, "deliveries")
	two := storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 0, State: diaphone.Delivered}, {Index: 3, State: diaphone.Failed}}}
	e.settle(20, two)
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 5, Pending: 3, Delivered: 1, Failed: 1}, "counts")
	none, next := e.claimNext(fcmLane(app), 49.9, 10)
	equal(e, len(none), 0, "batches: the settle has renewed the lease")
	equal(e, next, at(50), "next")

	one := storage.Settlement{Batch: &b, Results: []storage.Result{{Index: 1, State: diaphone.Expired}}, Release: true}
	e.settle(40, one)
	rest := e.claim(fcmLane(app), 40, 10)
	equal(e, len(rest), 1, "batches after the release")
	equal(e, len(rest[0].Items), 2, "deliveries left")
	equal(e, fmt.Sprint(rest[0].Items[0].Index, rest[0].Items[1].Index), "2 4", "their indices")
	e.settle(41, all(&rest[0], diaphone.Suppressed))
	equal(e, e.report(m).Counts, diaphone.Counts{Accepted: 5, Delivered: 1, Failed: 1, Expired: 1, Suppressed: 2}, "counts")
	equal(e, e.report(m).State, diaphone.Finished, "state")
}

func behindLeased(e *env) {
	e.put(phone("d"))
	const n = 300
	for range n {
		e.accept(e.message(1, toDevices("d")))
	}
	held := map[string]*storage.Batch{}
	for range n {
		got := e.claim(fcmLane(app), 2, 1)
		equal(e, len(got), 1, "batches")
		if held[got[0].Key] != nil {
			e.Fatal("a batch was claimed twice")
		}
		held[got[0].Key] = &got[0]
	}
	equal(e, len(e.claim(fcmLane(app), 2, 1)), 0, "batches")
	// One in the middle comes back and is found.
	for _, b := range held {
		e.settle(3, storage.Settlement{Batch: b, Release: true})
		got := e.claim(fcmLane(app), 3, 1)
		equal(e, len(got), 1, "batches after a release")
		equal(e, got[0].Key, b.Key, "batch after a release")
		break
	}
	equal(e, len(e.claim(fcmLane(app), 32, 1000)), n-1, "batches after the leases but one")
}

func insertedBefore(e *env) {
	e.put(phone("d"))
	for i := range 3 {
		e.accept(e.message(float64(10+i), toDevices("d")))
	}
	equal(e, len(e.claim(fcmLane(app), 20, 2)), 2, "batches")
	early := e.message(1, toDevices("d")) // a clock that was set back, or a retry
	e.accept(early)
	got := e.claim(fcmLane(app), 20, 10)
	equal(e, len(got), 2, "batches")
	equal(e, got[0].Message.ID, early.ID, "the first of them")
}

func lanesListed(e *env) {
	lanes := func() string {
		got, err := e.s.Lanes(e.ctx)
		e.no(err, "lanes")
		return fmt.Sprint(got)
	}
	equal(e, lanes(), "[]", "lanes of an empty store")
	e.put(phone("d", on("news")))
	theirs := phone("d", in(other))
	e.put(theirs)
	e.accept(e.message(1, toDevices("d")))
	e.accept(e.message(1, toChannels("news")))
	m := e.message(5, toDevices("d"))
	m.App = other
	e.accept(m)
	equal(e, lanes(), "[1/fcm 2/fcm]", "lanes")
	for _, b := range e.claim(fcmLane(app), 2, 10) {
		equal(e, lanes(), "[1/fcm 2/fcm]", "lanes while leased")
		e.settle(3, all(&b, diaphone.Delivered))
	}
	equal(e, lanes(), "[2/fcm]", "lanes")
}

func claimRace(e *env) {
	e.put(phone("d"))
	const n = 400
	for range n {
		e.accept(e.message(1, toDevices("d")))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				got, _, err := e.s.Claim(e.ctx, storage.Claim{Lane: fcmLane(app), Now: at(2), N: 3, Lease: lease})
				if err != nil || len(got) == 0 {
					if err != nil {
						e.Errorf("claim: %v", err)
					}
					return
				}
				for _, b := range got {
					mu.Lock()
					seen[b.Key]++
					mu.Unlock()
					if s, err := e.s.Settle(e.ctx, []storage.Settlement{all(&b, diaphone.Delivered)}, at(2)); err != nil || len(s.Fenced) > 0 {
						e.Errorf("settle: %+v, %v", s, err)
					}
				}
			}
		})
	}
	group.Wait()
	equal(e, len(seen), n, "batches claimed")
	for k, times := range seen {
		equal(e, times, 1, "claims of %q", k)
	}
	left, next := e.claimNext(fcmLane(app), 3, 10)
	equal(e, fmt.Sprint(len(left), next.IsZero()), "0 true", "what is left")
}
