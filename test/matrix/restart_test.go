package matrix

import (
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// A gateway that ends while it waits for a proof knows nothing of it afterwards, and
// the phone gets the push: never silence.
func TestARestartBeforeTheProof(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *harness.Process){
		"killed": func(_ *testing.T, p *harness.Process) { p.Kill() },
		"stopped": func(t *testing.T, p *harness.Process) {
			if code := p.Stop(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The wait is so long that only the restart can have brought it about.
			s := situation{confirm: wire.Confirm{Within: diaphone.MaxConfirmWithin.Seconds()}, sockets: []socket{{fate: suspended}}}
			c := &scene{situation: &s, t: t, world: harness.NewWorld(t, nil), name: "0"}
			c.prepare()
			c.meetFates()
			began := time.Now()
			id := c.publish()
			c.waits(id)
			end(t, c.world.Gateway)
			c.world.StartGateway()
			c.world.Await(id, patience)
			got := c.look(id, began)[c.device(0)]
			t.Logf("on the phone after %d ms", got.after.Milliseconds())
			if got.state != diaphone.Delivered || got.shown != 1 || got.after > s.wait()*2/3 {
				t.Errorf("%s, shown %d times, after %s", got.state, got.shown, got.after)
			}
		})
	}
}
