package fault

import (
	"fmt"
	"slices"
	"strings"
)

// Vocabulary is what a vendor can answer: its reasons by status, the usual one
// first, and the acts (Hang, GoAway, Refuse) that it knows.
type Vocabulary struct {
	Vendor  string // as people write it
	Reasons map[int][]string
	Acts    []string
}

// StatusOf returns the status that a reason comes with, 0 for an unknown one.
func (v *Vocabulary) StatusOf(reason string) int {
	for status, reasons := range v.Reasons {
		if slices.Contains(reasons, reason) {
			return status
		}
	}
	return 0
}

// Complete checks a fault and fills in what the vendor means by it: the status of
// its reason, or the usual reason of its status. The error begins with the field
// that is wrong.
func (v *Vocabulary) Complete(f Fault) (Fault, error) {
	if err := f.Check(); err != nil {
		return f, err
	}
	if f.Reason == Hang || f.Reason == GoAway || f.Reason == Refuse {
		return f, v.checkAct(f)
	}
	if f.GoAwayEvery > 0 && !slices.Contains(v.Acts, GoAway) {
		return f, fmt.Errorf("goaway_every: %s has no GOAWAY of its own", v.Vendor)
	}
	switch {
	case f.OnlyDelays() || f.GoAwayEvery > 0:
		return f, nil
	case f.Body != "":
		return f, checkStatus(f.Status)
	case f.Status == 0:
		f.Status = v.StatusOf(f.Reason)
		if f.Status == 0 {
			return f, fmt.Errorf("reason: %s knows no %q; to answer it all the same give a status and a body", v.Vendor, f.Reason)
		}
		return f, nil
	}
	fitting := v.Reasons[f.Status]
	switch {
	case len(fitting) == 0:
		return f, fmt.Errorf("status: %s never answers %d; to answer it all the same give a body", v.Vendor, f.Status)
	case f.Reason == "":
		f.Reason = fitting[0]
	case !slices.Contains(fitting, f.Reason):
		return f, fmt.Errorf("reason: %q does not come with status %d of %s; that has %s",
			f.Reason, f.Status, v.Vendor, strings.Join(fitting, ", "))
	}
	return f, nil
}

func (v *Vocabulary) checkAct(f Fault) error {
	switch {
	case !slices.Contains(v.Acts, f.Reason):
		return fmt.Errorf("reason: %q is nothing that %s does; it has %s", f.Reason, v.Vendor, strings.Join(v.Acts, ", "))
	case f.Status != 0:
		return fmt.Errorf("status: leave it out, since %q is no answer", f.Reason)
	}
	return nil
}

func checkStatus(status int) error {
	if status < 200 || status > 599 {
		return fmt.Errorf("status: must be between 200 and 599, not %d", status)
	}
	return nil
}
