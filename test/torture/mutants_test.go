package torture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// mutant is a gateway with a fault planted, and the scene in which it must be found.
type mutant struct {
	name    string
	patches []harness.Patch
	scene   func() scene
	finding string // of the judge
}

// mutants are the negative controls: a suite that one of them passes proves nothing.
func mutants() []mutant {
	const writer, attempt, accept, policy = "storage/bolt/writer.go", "push/attempt.go", "storage/bolt/accept.go", "push/policy.go"
	kills := func() scene { return killing(10) }
	return append(diskMutants(), []mutant{
		{"acknowledges before the commit", []harness.Patch{
			{File: writer, Old: "if !s.options.hooks.ackEarly {", New: "if false {"},
			{File: writer, Old: "if s.options.hooks.ackEarly {\n\t\tfinish(a.ran, nil)",
				New: "if true {\n\t\tfinish(a.ran, nil)\n\t\ttime.Sleep(5 * time.Millisecond) // as slow as many disks"},
		}, kills, "the gateway does not know it"},
		{"settles before it has sent", []harness.Patch{
			{File: attempt, Old: "begun := time.Now()\n\to := ",
				New: "begun := time.Now()\n\to := diaphone.Outcome{Verdict: diaphone.Accepted, Status: 200}\n\tgo "},
			{File: attempt, Old: "Send(ctx, d)", New: "Send(context.WithoutCancel(ctx), d)"},
		}, kills, "which has never seen it"},
		{"plans the first page only", []harness.Patch{{File: accept,
			Old: "if len(walk.page.entries) == 0 {",
			New: "if p.pages == 1 || len(walk.page.entries) == 0 {",
		}}, kills, "has no delivery to"},
		{"forgets idempotency keys", []harness.Patch{{File: accept,
			Old: "if idem.Key == \"\" {", New: "if idem.Key != \"-\" {",
		}}, kills, "no app could tell"},
		{"gives each attempt an id of its own", []harness.Patch{{File: attempt,
			Old: "diaphone.DeliveryID(m.ID, device.ID)", New: "diaphone.DeliveryID(m.ID, device.ID+diaphone.DeviceID(time.Now().String()))",
		}}, cutBehind, "no app could tell"},
		{"forgets tokens on a doubtful word", []harness.Patch{
			{File: policy, Old: "case diaphone.Refused, diaphone.Suspect:", New: "case diaphone.Refused:"},
			{File: policy, Old: "case diaphone.Gone:", New: "case diaphone.Gone, diaphone.Suspect:"},
		}, badDeviceTokens, "was given up"},
	}...)
}

// TestMutantsFit: what is to be changed is there still.
func TestMutantsFit(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) { harness.Overlay(t, m.patches...) })
	}
}

// plant plays the mutant's scene. The judge must find what was planted.
func (m *mutant) plant(t *testing.T, b *table) {
	t.Helper()
	sc := m.scene()
	sc.name, sc.binary = m.name, harness.Mutant(t, m.patches...)
	sc.within = min(sc.within, 45*time.Second)
	v := play(t, &sc)
	found := slices.DeleteFunc(slices.Clone(v.faults), func(f string) bool { return !strings.Contains(f, m.finding) })
	b.add("planted: "+m.name, v, fmt.Sprintf("found: %d times %q", len(found), m.finding))
	if len(found) == 0 {
		t.Errorf("not found; all that is wrong is %q", v.faults[:min(len(v.faults), most)])
	}
}
