package channels

import (
	"strconv"
	"time"

	"github.com/diaphone-dev/diaphone/internal/gcra"
)

// pace is what is kept of a connection's rates; its limits are its app's.
type pace struct {
	said    time.Time // messages of any kind
	emitted time.Time // client events
}

// mayEmit books one client event: as many as a second allows may come at once.
func (c *client) mayEmit(now time.Time) bool {
	most := c.app.Limits.MaxClientEvents()
	var wait time.Duration
	c.pace.emitted, wait = gcra.PerSecond(most, most).Take(c.pace.emitted, now, 1)
	return wait == 0
}

// mayTalk books one message of any kind. Who comes back to all of his channels says
// so in one go, so there is room for that.
func (c *client) mayTalk(now time.Time) bool {
	most := c.app.Limits.MaxMessages()
	var wait time.Duration
	c.pace.said, wait = gcra.PerSecond(most, most+c.app.Limits.MaxChannels()).Take(c.pace.said, now, 1)
	return wait == 0
}

// hush ends a connection that talks too much. To answer each message would be work
// for a flood, and to drop one would leave its sender waiting: so it comes again,
// after a while.
func (c *client) hush() {
	reason := "Over " + strconv.Itoa(c.app.Limits.MaxMessages()) + " messages a second"
	c.session.Send(errorFrame(codeTryElsewhere, reason))
	c.session.Close(codeTryElsewhere, reason)
}
