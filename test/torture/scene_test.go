// Package torture kills gateways, takes their disks away and lets their providers
// fail, under load, and holds what has come of it against docs/promises.md: nothing
// accepted is lost, and duplicates are bounded. `make torture` runs all of it, with
// gateways that have faults planted, which must be found; `make test` a short part.
package torture

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
	"github.com/diaphone-dev/diaphone/test/harness"
)

var (
	whole = flag.Bool("whole", false, "run all scenes and the planted faults, several minutes")
	seed  = flag.Uint64("seed", 0, "of all that is random in the load and the faults; 0: another each time")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	_ = flag.Set("test.parallel", "4") // scenes mostly wait
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		harness.Clean()
		os.Exit(code)
	}))
}

// scene is one kind of trouble.
type scene struct {
	name string
	load
	within  time.Duration                                         // for settling, from the end of the trouble
	trouble func(s *stage)                                        // goes on while the load does
	relayed bool                                                  // the ways to APNs and FCM can be cut
	binary  string                                                // empty: the gateway as it is
	run     func(binary, dataDir string, args []string) *exec.Cmd // nil: just so
}

// Of each lane so many attempts are in flight at most, and so many may be duplicated.
const (
	concurrency = 32
	lanes       = 3
)

// stage is where a scene goes on.
type stage struct {
	*harness.World
	t          *testing.T
	book       *book
	random     *rand.Rand
	traffic    *traffic
	apns, fcm  *harness.Relay
	apnsServer string // where the relays lead
	fcmServer  string
}

// play runs a scene and gives what the ledger proves.
func play(t *testing.T, sc *scene) verdict {
	t.Helper()
	hash := fnv.New64a()
	hash.Write([]byte(sc.name)) //nolint:errcheck // never fails
	s := &stage{t: t, book: newBook(), random: rand.New(rand.NewPCG(*seed, hash.Sum64()))}
	s.book.within = sc.within
	s.World = harness.NewWorldWith(t, harness.Setup{
		Apps:    func(apps string) string { return s.apps(apps, sc.relayed) },
		Gateway: sc.command(t),
	})
	s.traffic = newTraffic(t, s.World, s.book, sc.load)
	s.traffic.start(s.random.Uint64())
	defer s.traffic.end() // should the trouble break off
	sc.trouble(s)
	s.well()
	ended := time.Now()
	s.traffic.end()
	s.settle(ended, sc.within)
	s.look()
	return judge(&s.book.ledger)
}

// command tells how the gateway is run.
func (sc *scene) command(t *testing.T) func(dataDir string, args []string) *exec.Cmd {
	binary := sc.binary
	if binary == "" {
		binary = harness.Binary(t)
	}
	return func(dataDir string, args []string) *exec.Cmd {
		if sc.run != nil {
			return sc.run(binary, dataDir, args)
		}
		return exec.Command(binary, args...)
	}
}

var (
	apnsHost    = regexp.MustCompile(`host: https://(\S+)`)
	fcmEndpoint = regexp.MustCompile(`endpoint: http://([^/\s]+)`)
)

// apps limits the lanes, and puts relays before the providers.
func (s *stage) apps(text string, relayed bool) string {
	for _, first := range []string{"- key_file:", "- service_account_file:"} {
		text = strings.ReplaceAll(text, first, fmt.Sprintf("- concurrency: %d\n        %s", concurrency, first[2:]))
	}
	if !relayed {
		return text
	}
	s.apnsServer = apnsHost.FindStringSubmatch(text)[1]
	s.apns = harness.NewRelay(s.t, s.apnsServer)
	s.fcmServer = fcmEndpoint.FindStringSubmatch(text)[1]
	s.fcm = harness.NewRelay(s.t, s.fcmServer)
	text = apnsHost.ReplaceAllString(text, "host: https://127.0.0.1:"+s.apns.Port())
	return fcmEndpoint.ReplaceAllString(text, "endpoint: http://127.0.0.1:"+s.fcm.Port())
}

// fault is one of a simulator's plan.
type fault map[string]any

// ill has the providers fail, until the next call or until they are well.
func (s *stage) ill(faults ...fault) {
	s.t.Helper()
	s.SimCall(http.MethodPut, "/sim/faults", faults, nil)
}

func (s *stage) well() { s.SimCall(http.MethodDelete, "/sim/faults", nil, nil) }

// goOn lets the load go on for a while.
func (s *stage) goOn(d time.Duration) { pause(context.Background(), d) }

// between draws a time.
func (s *stage) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)))
}

// settle waits until all that was accepted has finished, and reads the reports.
func (s *stage) settle(ended time.Time, within time.Duration) {
	s.t.Helper()
	left := s.book.acceptedIDs()
	s.book.reports = make(map[diaphone.MessageID]report, len(left))
	ctx, cancel := context.WithDeadline(context.Background(), ended.Add(within))
	defer cancel()
	for len(left) > 0 {
		reports, waiting := make([]*report, len(left)), make([]bool, len(left))
		overdue := ctx.Err() != nil
		s.Parallel(16, len(left), func(i int) (err error) {
			reports[i], waiting[i], err = s.report(left[i], overdue)
			return err
		})
		var unfinished []diaphone.MessageID
		for i, r := range reports {
			switch {
			case waiting[i]:
				unfinished = append(unfinished, left[i])
			case r != nil:
				s.book.reports[left[i]] = *r
				s.book.settled = max(s.book.settled, r.at.Sub(ended))
			}
		}
		if left = unfinished; len(left) > 0 {
			pause(ctx, 100*time.Millisecond)
		}
	}
	if ctx.Err() != nil {
		s.book.settled = max(s.book.settled, time.Since(ended))
	}
}

// report reads all about a message that has finished, or that should have; nil: the
// gateway does not know it. waiting: it is not time yet.
func (s *stage) report(id diaphone.MessageID, overdue bool) (r *report, waiting bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := s.Client.Message(ctx, id)
	var problem *client.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case m.State != diaphone.Finished && !overdue:
		return nil, true, nil
	}
	r = &report{finished: m.State == diaphone.Finished, at: m.FinishedAt.Time, cancelled: !m.CancelledAt.IsZero(), counts: m.Counts}
	for d, err := range s.Client.AllDeliveries(ctx, id) {
		if err != nil {
			return nil, false, err
		}
		r.deliveries = append(r.deliveries, d)
	}
	return r, false, nil
}

// look reads what the phones were shown and which devices the gateway knows.
func (s *stage) look() {
	s.t.Helper()
	for _, n := range s.Inbox() {
		s.book.sights = append(s.book.sights, sight{diaphone.DeviceID(n.Device), n.Body, idOf(n.Payload), n.ReceivedAt})
	}
	s.book.tokens = make(map[diaphone.DeviceID]int)
	for d, err := range s.Client.AllDevices(context.Background(), "") {
		if err != nil {
			s.t.Fatal(err)
		}
		s.book.tokens[d.ID] = 0
		for _, t := range d.Tokens {
			if t.State == wire.TokenActive {
				s.book.tokens[d.ID]++
			}
		}
	}
}

// idOf finds the id of a notification where each provider's payload has it.
func idOf(payload json.RawMessage) string {
	type data struct {
		ID string `json:"_nid"`
	}
	var p struct {
		data                             // APNs
		Message      struct{ Data data } // FCM
		Notification struct{ Data data } // Web Push
	}
	_ = json.Unmarshal(payload, &p) // an odd payload has no id, which the judge finds
	return p.ID + p.Message.Data.ID + p.Notification.Data.ID
}
