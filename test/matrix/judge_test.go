package matrix

import (
	"fmt"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// pushed is what became of the push to one device.
type pushed struct {
	state  diaphone.State
	reason string
	shown  int           // how often the phone shows it
	after  time.Duration // from the message to the phone
}

// muchLater is how long after the wait the phone has it at the latest. At once is well
// within the wait.
const muchLater = 2 * time.Second

// judge tells what is wrong with a push; empty: it is as it must be.
func judge(want verdict, wait time.Duration, got pushed) (fault string) {
	if want == never {
		if got.state != diaphone.Suppressed || got.reason != "taken_live" || got.shown != 0 {
			return fmt.Sprintf("%s (%s) and shown %d times, want it suppressed", got.state, got.reason, got.shown)
		}
		return ""
	}
	from, to := wait, wait+muchLater
	if want == atOnce {
		from, to = 0, wait*2/3
	}
	switch {
	case got.state != diaphone.Delivered || got.shown != 1:
		return fmt.Sprintf("%s (%s) and shown %d times, want it delivered once", got.state, got.reason, got.shown)
	case got.after < from || got.after > to:
		return fmt.Sprintf("on the phone after %s, want %s to %s", got.after, from, to)
	}
	return ""
}

// others are the verdicts that a judge who passes one must refuse.
func others(than verdict) (all []verdict) {
	for _, v := range []verdict{never, atOnce, afterWait} {
		if v != than {
			all = append(all, v)
		}
	}
	return all
}
