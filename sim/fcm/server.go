// Package fcm simulates Firebase Cloud Messaging as its HTTP v1 API speaks: the
// OAuth token endpoint, which verifies the service account's assertion, and
// messages:send with its strict JSON and Google's error bodies. The phones live
// in package phone, the listeners in package sim.
package fcm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/sim/stats"
)

// maxRequest is far beyond what any message may have; FCM's own limits are
// checked on the message.
const maxRequest = 1 << 20

// Options are what a Server needs to know. Secret seals the access tokens.
type Options struct {
	ProjectID string
	Account   Account
	Secret    []byte
	Fleet     *phone.Fleet
	Faults    *fault.Plan
	Meter     *stats.Meter
}

// Server is a simulated FCM: the handler of everything under /v1/projects/.
type Server struct {
	project   string
	account   Account
	audiences []string
	secret    []byte
	schema    *messageType
	fleet     *phone.Fleet
	faults    *fault.Plan
	meter     *stats.Meter
	mux       *http.ServeMux
}

// New returns a Server.
func New(o Options) *Server {
	s := &Server{
		project: o.ProjectID, account: o.Account, secret: o.Secret,
		audiences: append(googleAudiences(), o.Account.TokenURI),
		schema:    requestType(),
		fleet:     o.Fleet, faults: o.Faults, meter: o.Meter,
		mux: http.NewServeMux(),
	}
	s.mux.HandleFunc("POST /v1/projects/{project}/messages:send", s.send)
	s.mux.HandleFunc("/", unknownURL)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// unknownURL answers as Google's front end does, with HTML, also to a known path
// with another method.
func unknownURL(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n<p><b>404.</b> <ins>That’s an error.</ins>\n<p>The requested URL was not found on this server.\n")
}

type connKey struct{}

// ConnContext lets the Server count the connections that are used for sending. It
// belongs into http.Server.ConnContext.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, new(atomic.Bool))
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	received := time.Now()
	s.meter.Arrived(received)
	if used, ok := r.Context().Value(connKey{}).(*atomic.Bool); ok && !used.Swap(true) {
		s.meter.Connected()
	}
	m, wrong := s.readMessage(w, r)
	m.received = received
	e := s.faults.Take(fault.FCM, s.nameOf(m.token))
	if e.Answer != nil && e.Answer.Reason == fault.Hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	name, p := s.judge(r, m, wrong, e.Answer)
	if e.Delay > 0 {
		wait(r.Context(), e.Delay)
	}
	if p != nil {
		s.meter.Refused(p.name())
		p.write(w)
		return
	}
	s.meter.Accepted()
	writeJSON(w, http.StatusOK, map[string]string{"name": name})
}

// wait returns early when the client is gone or the simulator is to end.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Server) nameOf(token string) string {
	if p, _ := s.fleet.Find(token); p != nil {
		return p.Name
	}
	return ""
}

// readMessage reads and checks the body. The message is never nil.
func (s *Server) readMessage(w http.ResponseWriter, r *http.Request) (*message, *problem) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		p := usual(invalidArgument)
		p.message, p.fromFCM = "Request payload size exceeds the limit: "+strconv.Itoa(maxRequest)+" bytes.", false
		return &message{}, p
	}
	if err != nil {
		return &message{}, malformed([]violation{{Description: "Invalid JSON payload received. Unexpected end of string."}})
	}
	return parseMessage(raw, s.schema)
}

// judge returns the name of an accepted message, or the problem: first that of
// the credential, then of the project, then of the body, then of the recipient.
func (s *Server) judge(r *http.Request, m *message, wrong *problem, f *fault.Fault) (string, *problem) {
	if f != nil {
		return "", faulty(f)
	}
	project := r.PathValue("project")
	if p := s.authorised(r.Header.Get("Authorization"), m.received); p != nil {
		return "", p
	}
	if project != s.project {
		p := usual(permissionDenied)
		p.message = "Permission 'cloudmessaging.messages.create' denied on resource '//cloudresourcemanager.googleapis.com/projects/" + project + "' (or it may not exist)."
		return "", p
	}
	if wrong != nil {
		return "", wrong
	}
	if m.token != "" {
		if p := s.deliver(m, project, keptHeaders(r.Header)); p != nil {
			return "", p
		}
	}
	name := "projects/" + project + "/messages/"
	if m.validateOnly {
		return name + "fake_message_id", nil
	}
	return name + newMessageID(m.received), nil
}

// deliver hands a message to the phone of its token. Messages to topics and
// conditions are accepted and reach nobody: phones subscribe to nothing yet.
func (s *Server) deliver(m *message, project string, headers []phone.Header) *problem {
	if !phone.IsFCMToken(m.token) {
		p := invalid("message.token", "The registration token is not a valid FCM registration token")
		p.violations[0].Description = "Invalid registration token"
		return p
	}
	p, _ := s.fleet.Find(m.token)
	if p == nil {
		return usual(unregistered)
	}
	if p.ProjectID != project {
		return usual(senderIDMismatch)
	}
	if state, _ := p.State(); state == phone.Uninstalled {
		return usual(unregistered)
	}
	if m.validateOnly {
		return nil
	}
	fate := p.Receive(phone.Push{
		Provider: fault.FCM, Received: m.received, Expires: m.received.Add(m.ttl),
		Collapse: m.collapse, Headers: headers, Payload: m.raw,
	})
	if fate == phone.Gone {
		return usual(unregistered)
	}
	return nil
}

// keptHeaders are those that tell a sender something about its requests.
func keptHeaders(h http.Header) []phone.Header {
	var out []phone.Header
	for _, name := range []string{
		"Content-Type", "User-Agent", "X-Goog-Api-Client", "X-Goog-Api-Format-Version",
		"X-Goog-User-Project", "X-Firebase-Client", "Traceparent",
	} {
		if v := h.Get(name); v != "" {
			out = append(out, phone.Header{Name: name, Value: v})
		}
	}
	return out
}

// newMessageID looks like FCM's: 0:<microseconds>%<16 hex digits>.
func newMessageID(now time.Time) string {
	var b [8]byte
	rand.Read(b[:]) //nolint:errcheck // never fails since Go 1.24
	return "0:" + strconv.FormatInt(now.UnixMicro(), 10) + "%" + hex.EncodeToString(b[:])
}
