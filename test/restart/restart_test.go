// Package restart loses all connections of a gateway at once, and looks how and
// with what the clients come back.
package restart

import (
	"os"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

const many = 5000

// TestEverybodyComesBack cuts all connections of a gateway that stays, and then
// kills it.
func TestEverybodyComesBack(t *testing.T) {
	c := gather(t, many, true)
	c.publish(3)
	c.settle()
	c.checkPresence()
	c.cutAndResume()
	c.killAndRestart()
}

// cutAndResume: everybody gets what was published meanwhile.
func (c *crowd) cutAndResume() {
	c.t.Helper()
	begun := time.Now()
	c.cut()
	c.publish(6) // to nobody, and to some while the others come back
	c.t.Logf("all cut; back: %s", spread(c.await(c.callers, begun)))
	c.publish(3)
	c.settle()
	c.checkPresence()
	got := c.audit()
	c.t.Logf("%+v", got)
	if want := (books{resumed: 3 * many}); got != want {
		c.t.Errorf("%+v, want each to have resumed on each of its channels: %+v", got, want)
	}
}

// killAndRestart: history and presence are in memory and gone with the process. All
// are told of each gap, and nothing is wrong behind it.
func (c *crowd) killAndRestart() {
	c.t.Helper()
	before, begun := c.audit(), time.Now()
	c.w.Gateway.Kill()
	c.w.StartGateway()
	c.t.Logf("killed; ready again after %s", time.Since(begun).Round(time.Millisecond))
	c.publish(2) // to those who are back already, if any
	c.t.Logf("back: %s", spread(c.await(c.callers, begun)))
	c.publish(3)
	c.settle()
	c.checkPresence()
	got := c.audit()
	c.t.Logf("%+v", got)
	want := before
	want.gaps += 3 * many
	if got != want {
		c.t.Errorf("%+v, want each told of the gap on each of its channels, once: %+v", got, want)
	}
}

// TestTheBooksNoticeAGap is the negative control: clients that come back without
// saying what they have miss what was published meanwhile, and the books show it.
func TestTheBooksNoticeAGap(t *testing.T) {
	const few = 300
	c := gather(t, few, false)
	c.publish(5)
	c.settle()
	begun := time.Now()
	c.cut()
	c.publish(5)
	c.await(c.callers, begun)
	c.publish(1)
	c.settle()
	got := c.audit()
	t.Logf("%+v", got)
	if want := (books{missing: 3 * few * 5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
