package push_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// proofs says what is known of each user, as the live side would.
type proofs struct {
	mu     sync.Mutex
	proven map[diaphone.UserID]diaphone.Taking
	until  map[diaphone.UserID]time.Time
}

func (p *proofs) taken(u diaphone.UserID) (diaphone.Taking, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := p.until[u]; time.Now().Before(until) && p.proven[u] == "" {
		return "", until
	}
	return p.proven[u], time.Time{}
}

func (p *proofs) prove(u diaphone.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proven[u] = diaphone.TakenLive
}

func (p *proofs) lose(u diaphone.UserID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.until, u)
}

func TestAPushWaitsForTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 3 * time.Second
		w := start(t, diaphone.Credential{Concurrency: 2}, accept) // fewer slots than wait
		until := time.Now().Add(within)
		p := &proofs{proven: map[diaphone.UserID]diaphone.Taking{}, until: map[diaphone.UserID]time.Time{"proves": until, "stays": until, "dies": until, "proves-late": until}}
		w.taken = p.taken
		users := []diaphone.UserID{"proves", "stays", "dies", "away", "proves-late"}
		for _, u := range users {
			w.put(diaphone.Device{App: "1", ID: diaphone.DeviceID(u), Platform: diaphone.Android, User: u, Channels: []diaphone.ChannelName{"news"},
				Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: diaphone.Secret("token-" + u)}}})
		}
		w.put(diaphone.Device{App: "1", ID: "nobodys", Platform: diaphone.Android, Channels: []diaphone.ChannelName{"news"},
			Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: "token-nobody"}}})
		defer w.run()()
		begun := time.Now()
		id := w.send(toChannel("news"), 60, diaphone.Away)
		w.until(200*time.Millisecond, func() bool { return w.counts(id).Delivered == 2 }) // away, nobodys
		p.prove("proves")
		w.until(time.Second, func() bool { return w.counts(id).Suppressed == 1 })
		p.lose("dies")
		w.until(time.Second, func() bool { return w.counts(id).Delivered == 3 })
		time.Sleep(time.Until(begun.Add(within - 20*time.Millisecond))) //nolint:forbidigo // virtual time
		p.prove("proves-late")
		w.until(time.Second, w.finished(id))
		if c := w.counts(id); c.Delivered != 4 || c.Suppressed != 2 {
			t.Errorf("counts %+v", c)
		}
		for _, s := range w.vendor.sendings() {
			switch took := s.at.Sub(begun); {
			case s.device == "stays" && (took < within || took > within+time.Second):
				t.Errorf("%s was sent after %s", s.device, took)
			case s.device != "stays" && took > 2*time.Second:
				t.Errorf("%s was sent after %s only", s.device, took)
			}
		}
	})
}

// A message to one person overtakes a broadcast that has waited for proofs in vain.
func TestTheUrgentOvertakesWhatHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{Concurrency: 4}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
			return accept(d, nth)
		})
		until := time.Now().Add(3 * time.Second)
		w.taken = func(diaphone.UserID) (diaphone.Taking, time.Time) {
			if time.Now().Before(until) {
				return "", until
			}
			return "", time.Time{}
		}
		defer w.run()()
		w.devices(400, "news")
		broadcast := w.send(toChannel("news"), 3600, diaphone.Away)
		time.Sleep(5 * time.Second) //nolint:forbidigo // virtual time
		if c := w.counts(broadcast); c.Delivered == 0 || c.Pending < 300 {
			t.Errorf("%+v: the broadcast does not stand in the way", c)
		}
		urgent := w.send(diaphone.Audience{Devices: []diaphone.DeviceID{"phone-7"}}, 3600, diaphone.Always)
		w.until(3*time.Second, w.finished(urgent))
	})
}

// What waits when the engine stops is there at its next start.
func TestWaitingSurvivesAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		p := &proofs{proven: map[diaphone.UserID]diaphone.Taking{}, until: map[diaphone.UserID]time.Time{"ana": time.Now().Add(20 * time.Second)}}
		w.taken = p.taken
		w.devices(3, "news")
		stop := w.run()
		id := w.send(toChannel("news"), 3600, diaphone.Away)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		if c := w.counts(id); c.Pending != 3 {
			t.Fatalf("counts %+v, want 3 pending", c)
		}
		stop()
		p.lose("ana") // its sockets are gone with the process
		w.open()
		defer w.run()()
		w.until(10*time.Second, w.finished(id))
		if c := w.counts(id); c.Delivered != 3 || len(w.vendor.sendings()) != 3 {
			t.Errorf("counts %+v, %d sent", c, len(w.vendor.sendings()))
		}
	})
}

// Nobody waits beyond the time to live.
func TestWaitingEndsWithTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, accept)
		p := &proofs{until: map[diaphone.UserID]time.Time{"ana": time.Now().Add(20 * time.Second)}}
		w.taken = p.taken
		w.devices(1, "news")
		defer w.run()()
		id := w.send(toChannel("news"), 5, diaphone.Away)
		w.until(7*time.Second, w.finished(id))
		if c := w.counts(id); c.Expired != 1 || len(w.vendor.sendings()) != 0 {
			t.Errorf("counts %+v, %d sent", c, len(w.vendor.sendings()))
		}
	})
}

// What has come out of the waiting room and is held up there expires as all does.
func TestWhatWaitedExpiresInALaneThatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, diaphone.Credential{}, func(d *diaphone.Delivery, nth int) diaphone.Outcome {
			if d.Device == "slow" {
				return diaphone.Outcome{Verdict: diaphone.Throttled, Status: 429, Lane: true, RetryAfter: 30 * time.Second}
			}
			return accept(d, nth)
		})
		p := &proofs{until: map[diaphone.UserID]time.Time{"ana": time.Now().Add(3 * time.Second)}}
		w.taken = p.taken
		w.devices(1, "news")
		w.phone("slow", "ben")
		defer w.run()()
		id := w.send(toChannel("news"), 10, diaphone.Away)
		time.Sleep(time.Second) //nolint:forbidigo // virtual time
		w.send(toUser("ben"), 3600, diaphone.Always)
		w.until(20*time.Second, w.finished(id))
		for _, s := range w.vendor.sendings() {
			if s.device != "slow" {
				t.Errorf("%s was sent", s.device)
			}
		}
		if c := w.counts(id); c.Expired != 1 {
			t.Errorf("counts %+v", c)
		}
	})
}

// What waits to be tried again is spared when another device reports to have the message.
func TestARetryIsSparedByAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried atomic.Int64
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			tried.Add(1)
			return diaphone.Outcome{Verdict: diaphone.Retry, Status: 503, RetryAfter: 10 * time.Second}
		})
		p := &proofs{proven: map[diaphone.UserID]diaphone.Taking{}}
		w.taken = p.taken
		w.put(diaphone.Device{App: "1", ID: "tablet", Platform: diaphone.Android, User: "ana", Channels: []diaphone.ChannelName{"news"},
			Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: "token"}}})
		defer w.run()()
		away, always := w.send(toChannel("news"), 60, diaphone.Away), w.send(toChannel("news"), 15, diaphone.Always)
		w.until(time.Second, func() bool { return tried.Load() == 2 })
		p.mu.Lock()
		p.proven["ana"] = diaphone.TakenElsewhere
		p.mu.Unlock()
		w.until(30*time.Second, func() bool { return w.counts(away).Suppressed == 1 && w.counts(always).Expired == 1 })
		reports, _, err := w.store.Deliveries(t.Context(), "1", away, storage.Page{Limit: 10})
		if err != nil || len(reports) != 1 || reports[0].Reason != "taken_elsewhere" || len(reports[0].Attempts) != 1 {
			t.Errorf("%+v, %v", reports, err)
		}
		if tried.Load() < 3 {
			t.Error("what is for all was spared as well")
		}
	})
}

// A lane's pause is told once, and its end once.
func TestARefusedCredentialIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var denied atomic.Bool
		denied.Store(true)
		w := start(t, diaphone.Credential{}, func(*diaphone.Delivery, int) diaphone.Outcome {
			if denied.Load() {
				return diaphone.Outcome{Verdict: diaphone.Denied, Status: 403, Reason: "InvalidProviderToken"}
			}
			return diaphone.Outcome{Verdict: diaphone.Accepted, Status: 200}
		})
		var mu sync.Mutex
		var told []string
		w.refused = func(lane diaphone.Lane, o *diaphone.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			if o == nil {
				told = append(told, lane.String()+" well")
				return
			}
			told = append(told, lane.String()+" "+o.Reason)
		}
		w.put(diaphone.Device{App: "1", ID: "d", Platform: diaphone.Android, Channels: []diaphone.ChannelName{"news"},
			Tokens: []diaphone.Token{{Kind: diaphone.TokenFCM, Value: "token"}}})
		defer w.run()()
		id := w.send(toChannel("news"), 3600, diaphone.Always)
		time.Sleep(5 * time.Minute) //nolint:forbidigo // virtual time: several probes
		denied.Store(false)
		w.until(10*time.Minute, func() bool { return w.counts(id).Delivered == 1 })
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 2 || told[0] != "1/"+w.app.Credentials[0].Name+" InvalidProviderToken" || told[1] != "1/"+w.app.Credentials[0].Name+" well" {
			t.Errorf("told %q", told)
		}
	})
}
