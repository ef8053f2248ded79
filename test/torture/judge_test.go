package torture

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// verdict is what a ledger proves.
type verdict struct {
	accepted, refused, unknown int // publishes
	deliveries                 int // owed by the accepted ones
	heard                      int // events, by sockets
	lost                       int // messages, deliveries, registrations
	duplicates, bound          int
	unexplained                int // duplicates that no cut explains
	settled                    time.Duration
	faults                     []string
}

func (v *verdict) faultf(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

func (v *verdict) losef(format string, args ...any) {
	v.lost++
	v.faultf("lost: "+format, args...)
}

// post is a notification's address: what phones were to see, and which.
type post struct {
	key    string
	device diaphone.DeviceID
}

// judge holds a ledger against docs/promises.md.
func judge(l *ledger) verdict {
	v := verdict{settled: l.settled}
	seen := make(map[post][]sight)
	for _, s := range l.sights {
		at := post{s.key, s.device}
		seen[at] = append(seen[at], s)
	}
	keys := make(map[string]*publish, len(l.publishes))
	for _, p := range l.publishes {
		keys[p.key] = p
		l.judgePublish(&v, p, seen)
	}
	for at := range seen {
		if keys[at.key] == nil {
			v.faultf("%s was shown %q, which nobody has published", at.device, at.key)
		}
	}
	for _, g := range l.glimpses {
		c := g.counts
		if c.Accepted != c.Pending+c.Delivered+c.Failed+c.Expired+c.Suppressed+c.Cancelled {
			v.faultf("%s: the counts did not add up at some time: %+v", g.key, c)
		}
	}
	l.judgeIDs(&v)
	l.judgeDuplicates(&v, seen)
	l.judgeExcuses(&v)
	l.judgeDevices(&v)
	l.judgeSockets(&v)
	if l.settled > l.within {
		v.faultf("settled after %s, at most %s were allowed", l.settled, l.within)
	}
	return v
}

// judgePublish: what was refused is never seen; what was accepted is one message, is
// there, and each of its deliveries has an end.
func (l *ledger) judgePublish(v *verdict, p *publish, seen map[post][]sight) {
	switch p.outcome {
	case unknown:
		v.unknown++
		return
	case refused:
		v.refused++
		if !slices.Contains(l.refuses, p.status) {
			v.faultf("%s was refused with %d", p.key, p.status)
		}
		for at := range seen {
			if at.key == p.key {
				v.faultf("%s was refused, and %s has seen it", p.key, at.device)
			}
		}
		return
	}
	v.accepted++
	v.deliveries += len(p.owed)
	if slices.ContainsFunc(p.ids, func(id diaphone.MessageID) bool { return id != p.ids[0] }) {
		v.faultf("%s became several messages: %v", p.key, p.ids)
	}
	r, known := l.reports[p.ids[0]]
	if !known {
		v.losef("%s (%s) was accepted, and the gateway does not know it", p.key, p.ids[0])
		return
	}
	if !r.finished {
		v.faultf("%s (%s) has not finished: %+v", p.key, p.ids[0], r.counts)
	}
	if want := tally(r.deliveries); r.counts != want {
		v.faultf("%s: the counts are %+v, its deliveries %+v", p.key, r.counts, want)
	}
	has := make(map[diaphone.DeviceID]bool, len(r.deliveries))
	for _, d := range r.deliveries {
		if has[d.DeviceID] {
			v.faultf("%s: %s has two deliveries", p.key, d.DeviceID)
		}
		has[d.DeviceID] = true
		l.judgeDelivery(v, p, d, len(seen[post{p.key, d.DeviceID}]))
	}
	for _, device := range p.owed {
		if cancelled := p.recall != nil && r.cancelled; !has[device] && !cancelled {
			v.losef("%s has no delivery to %s", p.key, device)
		}
	}
	late := 0
	for at, sights := range seen {
		if at.key != p.key {
			continue
		}
		if !has[at.device] {
			v.faultf("%s was shown %s, without a delivery", at.device, at.key)
		}
		if p.recall != nil && slices.ContainsFunc(sights, func(s sight) bool { return s.at.After(p.recall.answered) }) {
			late++
		}
	}
	if p.recall != nil && !p.recall.answered.IsZero() && late > p.recall.tooLate {
		v.faultf("%s was cancelled, too late for %d, and then %d phones were shown it", p.key, p.recall.tooLate, late)
	}
}

// tally counts deliveries by state, as the gateway should have.
func tally(all []wire.Delivery) (c wire.Counts) {
	c.Accepted = int64(len(all))
	of := map[diaphone.State]*int64{
		diaphone.Pending: &c.Pending, diaphone.Delivered: &c.Delivered, diaphone.Failed: &c.Failed,
		diaphone.Expired: &c.Expired, diaphone.Suppressed: &c.Suppressed, diaphone.Cancelled: &c.Cancelled,
	}
	for _, d := range all {
		if n := of[d.State]; n != nil {
			*n++
		}
	}
	return c
}

// judgeDelivery: delivered is what its phone has seen and whose last attempt the
// provider accepted; any other end needs an excuse of the scene's.
func (l *ledger) judgeDelivery(v *verdict, p *publish, d wire.Delivery, sights int) {
	if d.State == diaphone.Delivered {
		if sights == 0 {
			v.losef("%s is delivered to %s, which has never seen it", p.key, d.DeviceID)
		}
		if n := len(d.Attempts); n == 0 || d.Attempts[n-1].Verdict != diaphone.Accepted {
			v.faultf("%s is delivered to %s by %+v", p.key, d.DeviceID, d.Attempts)
		}
		return
	}
	if d.State == diaphone.Pending {
		v.faultf("%s to %s is pending still: %+v", p.key, d.DeviceID, d)
		return
	}
	cancelled := p.recall != nil && d.State == diaphone.Cancelled && d.Reason == diaphone.ReasonCancelled
	if !cancelled && l.excused(d) < 0 {
		v.losef("%s to %s ended %s (%s), without an excuse", p.key, d.DeviceID, d.State, d.Reason)
	}
	if d.Reason == "" {
		v.faultf("%s to %s ended %s, and nobody knows why", p.key, d.DeviceID, d.State)
	}
}

// excused gives the excuse of a delivery, or -1.
func (l *ledger) excused(d wire.Delivery) int {
	return slices.IndexFunc(l.excuses, func(e excuse) bool {
		return e.state == d.State && slices.Contains(e.reasons, d.Reason) && (e.devices == nil || e.devices[d.DeviceID])
	})
}

// judgeExcuses: none is used too often.
func (l *ledger) judgeExcuses(v *verdict) {
	used := make([]int, len(l.excuses))
	for _, r := range l.reports {
		for _, d := range r.deliveries {
			if i := l.excused(d); i >= 0 {
				used[i]++
			}
		}
	}
	for i, e := range l.excuses {
		if e.most > 0 && used[i] > e.most {
			v.faultf("%d deliveries ended %s (%v), at most %d were allowed", used[i], e.state, e.reasons, e.most)
		}
	}
}

// judgeIDs: all notifications of one publish on one phone have one id, and no two
// others have it.
func (l *ledger) judgeIDs(v *verdict) {
	first := make(map[post]string)
	owner := make(map[string]post)
	for _, s := range l.sights {
		at := post{s.key, s.device}
		if s.id == "" {
			v.faultf("%s on %s has no id", s.key, s.device)
			continue
		}
		if id, before := first[at]; before && id != s.id {
			v.faultf("%s came to %s as %s and as %s: no app could tell", s.key, s.device, id, s.id)
		}
		first[at] = s.id
		if other, before := owner[s.id]; before && other != at {
			v.faultf("%s is the id of %v and of %v", s.id, other, at)
		}
		owner[s.id] = at
	}
}

// judgeDuplicates: a phone is shown something again only across a cut, and no more
// often than attempts were in flight there.
func (l *ledger) judgeDuplicates(v *verdict, seen map[post][]sight) {
	left := make([]int, len(l.cuts))
	for i, c := range l.cuts {
		left[i] = c.inFlight
		v.bound += c.inFlight
	}
	explained := func(first, again time.Time) bool {
		for i, c := range l.cuts {
			if left[i] > 0 && !first.After(c.to) && !again.Before(c.from) {
				left[i]--
				return true
			}
		}
		return false
	}
	var pairs [][2]sight
	for _, sights := range seen {
		slices.SortFunc(sights, func(a, b sight) int { return a.at.Compare(b.at) })
		for i := range len(sights) - 1 {
			pairs = append(pairs, [2]sight{sights[i], sights[i+1]})
		}
	}
	v.duplicates = len(pairs)
	// Those that came again soonest choose first, and the earliest cut that fits: so
	// every pair finds one if there is any way to give one to each.
	slices.SortFunc(pairs, func(a, b [2]sight) int { return a[1].at.Compare(b[1].at) })
	for _, p := range pairs {
		if !explained(p[0].at, p[1].at) {
			v.unexplained++
			v.faultf("%s came to %s at %s and again at %s, which no cut explains: %+v", p[0].key, p[0].device,
				p[0].at.Format(clock), p[1].at.Format(clock), l.attempts(p[0]))
		}
	}
}

// attempts gives what the gateway knows of those that a phone has seen.
func (l *ledger) attempts(s sight) []wire.Attempt {
	for _, p := range l.publishes {
		if p.key != s.key || p.outcome != accepted {
			continue
		}
		for _, d := range l.reports[p.ids[0]].deliveries {
			if d.DeviceID == s.device {
				return d.Attempts
			}
		}
	}
	return nil
}

const clock = "15:04:05.000"

// judgeDevices: a registration that was answered is there, with its token unless
// that is dead.
func (l *ledger) judgeDevices(v *verdict) {
	for _, id := range slices.Sorted(maps.Keys(l.registered)) {
		tokens, known := l.tokens[id]
		switch {
		case !known:
			v.losef("the registration of %s was answered, and the gateway does not know it", id)
		case tokens == 0 && !l.dead[id]:
			v.losef("the token of %s was given up", id)
		case tokens > 0 && l.dead[id]:
			v.faultf("%s still uses its token, which is dead", id)
		}
	}
}

// judgeSockets: what a connection hears of one publisher comes in order, and once.
func (l *ledger) judgeSockets(v *verdict) {
	for _, c := range l.heard {
		v.heard += len(c)
		last := make(map[string]int)
		for _, e := range c {
			if before, heard := last[e.publisher]; heard && e.n <= before {
				v.faultf("a socket heard %d of %s after %d", e.n, e.publisher, before)
			}
			last[e.publisher] = e.n
		}
	}
}
