package webhooks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// ledger is what an endpoint must have heard of one channel.
type ledger struct {
	sure  int             // client events 1 to sure were in the log before the kill
	sent  int             // and so many were sent in all before it
	after int             // client events from afterKill+1 on, sent after the restart
	stay  []string        // who is there at the end; "" is the channel itself
	gone  map[string]bool // who was there, and is not
}

// afterKill is what the numbers of client events sent after the restart begin behind.
const afterKill = 1_000_000

// audit tells what is wrong with what has arrived, and how many notices came twice.
// The order of arrival counts; a notice that comes again must be the same.
func audit(arrived []notice, want map[string]ledger) (faults []string, repeated int) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	first := map[uint64]string{}
	var next uint64 = 1
	events := map[string][]int{}
	standing := map[string]bool{}
	for _, n := range arrived {
		if id, known := first[n.Seq]; known {
			repeated++
			if id != n.ID {
				fault("number %d is %s and %s", n.Seq, id, n.ID)
			}
			continue
		}
		first[n.Seq] = n.ID
		if n.Seq != next {
			fault("number %d came where %d was due", n.Seq, next)
		}
		next = n.Seq + 1
		switch n.Name {
		case "client_event":
			number, err := strconv.Atoi(n.Data)
			if err != nil {
				fault("data %q", n.Data)
			}
			events[n.Channel] = append(events[n.Channel], number)
		case "channel_occupied", "member_added":
			what := n.Channel + " " + n.User
			if standing[what] || !standing[n.Channel+" "] && n.User != "" {
				fault("%s was told out of turn", n.line())
			}
			standing[what] = true
		case "channel_vacated", "member_removed":
			if !standing[n.Channel+" "+n.User] {
				fault("%s was told out of turn", n.line())
			}
			delete(standing, n.Channel+" "+n.User)
			if !want[n.Channel].gone[n.User] {
				fault("%s, but it is not", n.line())
			}
		}
	}
	for channel, l := range want {
		if problem := l.audit(events[channel]); problem != "" {
			fault("%s: %s", channel, problem)
		}
		for _, user := range l.stay {
			if !standing[channel+" "+user] {
				fault("nobody knows that %q is in %s", user, channel)
			}
		}
		for user := range l.gone {
			if standing[channel+" "+user] {
				fault("%s is still believed to be in %s", user, channel)
			}
		}
	}
	return faults, repeated
}

// audit looks at the numbers of one channel's client events.
func (l ledger) audit(numbers []int) string {
	before := 0
	for before < len(numbers) && numbers[before] == before+1 {
		before++
	}
	if before < l.sure || before > l.sent {
		return fmt.Sprintf("%d client events arrived in order of %d, of which %d were in the log when the gateway was killed", before, l.sent, l.sure)
	}
	for i, n := range numbers[before:] {
		if n != afterKill+i+1 {
			return fmt.Sprintf("client event %d after the restart is %d", i+1, n)
		}
	}
	if got := len(numbers) - before; got != l.after {
		return fmt.Sprintf("%d client events arrived of %d sent after the restart", got, l.after)
	}
	return ""
}

// sabotage is the negative control: however little is missing or out of order, the
// audit notices.
func sabotage(t *testing.T, arrived []notice, want map[string]ledger) {
	t.Helper()
	once := slices.Clone(arrived)
	slices.SortStableFunc(once, func(a, b notice) int { return int(a.Seq) - int(b.Seq) })
	once = slices.CompactFunc(once, func(a, b notice) bool { return a.Seq == b.Seq })
	if faults, _ := audit(once, want); len(faults) > 0 {
		t.Fatalf("without repetitions: %q", faults)
	}
	var victims []int
	for i, n := range once {
		if n.Name != "client_event" || rand.IntN(len(once)) < 200 {
			victims = append(victims, i)
		}
	}
	for _, i := range victims {
		lacking := slices.Delete(slices.Clone(once), i, i+1)
		if faults, _ := audit(lacking, want); len(faults) == 0 {
			t.Fatalf("the audit does not notice that %q is missing", once[i].line())
		}
		for k := range lacking {
			lacking[k].Seq = uint64(k + 1)
		}
		if faults, _ := audit(lacking, want); len(faults) == 0 && !spare(once[i], want) {
			t.Fatalf("the audit does not notice that %q was never in the log", once[i].line())
		}
		// Two of one channel, put into the log the wrong way round.
		j := rand.IntN(len(once))
		if i == j || once[i].Name != "client_event" || once[j].Name != "client_event" || once[i].Channel != once[j].Channel {
			continue
		}
		swapped := slices.Clone(once)
		swapped[i].Data, swapped[j].Data = swapped[j].Data, swapped[i].Data
		if faults, _ := audit(swapped, want); len(faults) == 0 {
			t.Fatalf("the audit does not notice that %q and %q are swapped", once[i].line(), once[j].line())
		}
	}
}

// spare tells whether the gateway may have been killed before it took a notice.
func spare(n notice, want map[string]ledger) bool {
	number, _ := strconv.Atoi(n.Data)
	l := want[n.Channel]
	return n.Name == "client_event" && number > l.sure && number <= l.sent
}
