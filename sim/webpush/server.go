// Package webpush simulates a push service of browsers as Mozilla's autopush
// speaks: the HTTP side that senders post to (RFC 8030, with VAPID), and the
// WebSocket side that a real Firefox connects to when it is told to. Simulated
// browsers live in package phone, the listeners in package sim.
package webpush

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/sim/stats"
)

const (
	maxPayload = 4096
	maxTTL     = 30 * 24 * time.Hour // more is taken for this
	maxTopic   = 32
)

// Paths of the two sides.
const (
	PushPath   = "/wpush/v2/"
	SocketPath = "/push"
)

// Options are what a Server needs to know.
type Options struct {
	Address string // host:port at which senders and browsers reach the Server
	Fleet   *phone.Fleet
	Faults  *fault.Plan
	Meter   *stats.Meter
}

// Server is a simulated push service.
type Server struct {
	endpoint  string // what a browser's secret is put behind
	audiences []string
	fleet     *phone.Fleet
	faults    *fault.Plan
	meter     *stats.Meter
	browsers  *browsers
	messages  atomic.Uint64
	sockets   sync.WaitGroup
}

// New returns a Server.
func New(o Options) *Server {
	origin := "http://" + o.Address
	return &Server{
		endpoint: origin + PushPath, audiences: []string{origin, "https://" + o.Address},
		fleet: o.Fleet, faults: o.Faults, meter: o.Meter, browsers: newBrowsers(),
	}
}

// Endpoint gives the endpoint of a simulated browser.
func (s *Server) Endpoint(token string) string { return s.endpoint + token }

// Wait returns when the connections of all browsers have ended. Nothing else ends
// them than their requests' contexts.
func (s *Server) Wait() { s.sockets.Wait() }

// Push handles what senders post to an endpoint.
func (s *Server) Push(w http.ResponseWriter, r *http.Request) {
	received := time.Now()
	s.meter.Arrived(received)
	secret := strings.TrimPrefix(r.URL.Path, PushPath)
	p, _ := s.fleet.Find(secret)
	name := ""
	if p != nil {
		name = p.Name
	}
	e := s.faults.Take(fault.WebPush, name)
	if e.Answer != nil && e.Answer.Reason == fault.Hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	m, wrong := s.judge(w, r, p, secret, received)
	if e.Answer != nil {
		wrong = planned(e.Answer)
	} else if wrong == nil {
		wrong = s.deliver(p, secret, m)
	}
	if e.Delay > 0 {
		wait(r, e.Delay)
	}
	if wrong != nil {
		s.meter.Refused(wrong.reason)
		wrong.write(w, e.Answer)
		return
	}
	s.meter.Accepted()
	w.Header().Set("Location", strings.TrimSuffix(s.endpoint, PushPath)+"/m/"+m.id)
	w.Header().Set("TTL", strconv.Itoa(int(m.ttl.Seconds())))
	w.WriteHeader(http.StatusCreated)
}

// wait returns early when the client is gone or the simulator is to end.
func wait(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// message is an accepted request.
type message struct {
	id       string
	received time.Time
	ttl      time.Duration
	topic    string
	encoding string
	headers  []phone.Header
	body     []byte
}

// judge checks a request in the order of Mozilla's push service: the endpoint,
// the sender, the subscription, the body, its headers.
func (s *Server) judge(w http.ResponseWriter, r *http.Request, p *phone.Phone, secret string, received time.Time) (*message, *refusal) {
	if r.Method != http.MethodPost {
		return nil, methodNotAllowed()
	}
	var key string
	switch registered := s.browsers.find(secret); {
	case p != nil && p.Platform == phone.Web:
		key = p.VAPIDKey
	case registered != nil:
		key = registered.vapidKey
	default:
		return nil, invalidToken()
	}
	if wrong := s.authorise(r.Header.Get("Authorization"), key, received); wrong != nil {
		return nil, wrong
	}
	if p != nil {
		if state, _ := p.State(); state == phone.Uninstalled {
			return nil, noSubscription()
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, &refusal{reason: "broken_off", status: http.StatusBadRequest, message: "The body broke off"}
	}
	m := &message{
		id: strconv.FormatUint(s.messages.Add(1), 36) + "-" + strconv.FormatInt(received.UnixMicro(), 36), received: received,
		topic: r.Header.Get("Topic"), encoding: r.Header.Get("Content-Encoding"), headers: keptHeaders(r.Header), body: body,
	}
	return m, m.judgeHeaders(r.Header)
}

func (m *message) judgeHeaders(h http.Header) *refusal {
	ttl, err := strconv.ParseInt(h.Get("TTL"), 10, 64)
	switch {
	case err != nil:
		return noTTL()
	case len(m.body) > 0 && m.encoding == "":
		return badEncryption("Missing Content-Encoding header")
	case len(m.body) > 0 && m.encoding != "aes128gcm":
		return badEncryption("Unknown Content-Encoding header")
	case ttl < 0:
		return negativeTTL()
	case len(m.topic) > maxTopic:
		return badTopic("Topic must be no greater than 32 characters")
	case strings.Trim(m.topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return badTopic("Topic must be URL and Filename safe Base64 alphabet")
	}
	m.ttl = min(time.Duration(min(ttl, int64(maxTTL.Seconds())))*time.Second, maxTTL)
	return nil
}

// keptHeaders are those that tell a sender something about its requests.
func keptHeaders(h http.Header) []phone.Header {
	var out []phone.Header
	for _, name := range []string{"TTL", "Urgency", "Topic", "Content-Encoding", "Content-Type", "User-Agent"} {
		if v := h.Get(name); v != "" {
			out = append(out, phone.Header{Name: name, Value: v})
		}
	}
	return out
}

// deliver hands an accepted message to its browser, simulated or real.
func (s *Server) deliver(p *phone.Phone, secret string, m *message) *refusal {
	if p == nil {
		if !s.browsers.send(secret, m) {
			return noSubscription()
		}
		return nil
	}
	payload, err := open(p.Browser, m.body)
	switch {
	case len(m.body) == 0:
		payload = []byte("null") // a push without data is one
	case err != nil:
		// A push service cannot know; the browser throws it away without a word.
		m.headers = append(m.headers, phone.Header{Name: "Sim-Fault", Value: "the browser cannot read it: " + err.Error()})
		payload = []byte("null")
	case !json.Valid(payload):
		payload, _ = json.Marshal(string(payload))
	}
	fate := p.Receive(phone.Push{
		Provider: fault.WebPush, Received: m.received, Expires: m.received.Add(m.ttl),
		Collapse: m.topic, Headers: m.headers, Payload: payload,
	})
	if fate == phone.Gone {
		return noSubscription()
	}
	return nil
}
