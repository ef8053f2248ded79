// Package leak finds secrets in texts where they must not be. It knows what was
// planted, in all the forms that texts pass through on their way out of a program, and
// tells of what it finds without saying it again.
package leak

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Kind says what a planted value is; it is all that a finding tells of it.
type Kind string

// The kinds, the most closely kept first.
const (
	AppSecret      Kind = "the secret of an app's key"
	BearerToken    Kind = "a bearer token"
	ProviderKey    Kind = "a provider's private key"
	WebhookURL     Kind = "the URL of a webhook"
	WebhookHeader  Kind = "a header of a webhook"
	DeviceToken    Kind = "a device token"
	SubscriptionID Kind = "a key or an endpoint of a browser's subscription"
	Body           Kind = "the text of a message"
	User           Kind = "the id of a user"
)

// Place is what kind of text is searched.
type Place int

// The places.
const (
	Log     Place = iota // the lines of a gateway
	Metrics              // what Prometheus scrapes
	Print                // what a command prints
	Answer               // what a caller is told who was refused
	Backup               // a file with all that the store holds
)

// forbids is the whole rule. Secrets and tokens are nowhere, but that a backup has the
// tokens, which it is made to keep. Texts of messages are in no metric, and in the log
// at level debug at most. Ids of users are in no metric.
func (p Place) forbids(k Kind, line string) bool {
	switch k {
	case User:
		return p == Metrics
	case Body:
		return p == Metrics || p == Log && !isDebug(line)
	case DeviceToken, SubscriptionID:
		return p != Backup
	}
	return true
}

// isDebug knows the lines of slog, text and JSON. What is no line of a log counts as
// the worst: it may be a panic.
func isDebug(line string) bool {
	return strings.Contains(line, " level=DEBUG ") || strings.Contains(line, `,"level":"DEBUG",`)
}

// A text shorter than this is looked for as it is only: its other forms are in
// everything.
const window = 8

// needle is one form of a planted value, in lower case.
type needle struct {
	kind Kind
	form string
	text string
}

// Hunt is what has been planted. The zero value is ready; it is not safe for concurrent
// use.
type Hunt struct {
	needles map[uint64][]needle // by their first eight bytes
	short   []needle
	planted map[string]bool
}

// Plant has a value looked for from now on.
func (h *Hunt) Plant(k Kind, value string) {
	id := string(k) + "\x00" + value
	if value == "" || h.planted[id] {
		return
	}
	if h.planted == nil {
		h.planted, h.needles = make(map[string]bool), make(map[uint64][]needle)
	}
	h.planted[id] = true
	if len(value) < window {
		h.short = append(h.short, needle{k, "as it is", strings.ToLower(value)})
		return
	}
	for _, f := range forms(value) {
		n := needle{k, f.name, strings.ToLower(f.text)}
		at := binary.LittleEndian.Uint64([]byte(n.text))
		same := func(o needle) bool { return o.kind == k && o.text == n.text }
		if !slices.ContainsFunc(h.needles[at], same) {
			h.needles[at] = append(h.needles[at], n)
		}
	}
}

// Planted is how many values are looked for.
func (h *Hunt) Planted() int { return len(h.planted) }

// Leak is one finding.
type Leak struct {
	Kind Kind
	Form string
	Line int // the first; they begin at 1
}

func (l Leak) String() string { return fmt.Sprintf("%s, %s, in line %d", l.Kind, l.Form, l.Line) }

// In gives what of the planted must not be in such a text and is, each kind and form once.
func (h *Hunt) In(p Place, text string) (found []Leak) {
	seen := map[[2]string]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		for _, n := range h.inLine(strings.ToLower(line)) {
			id := [2]string{string(n.kind), n.form}
			if seen[id] || !p.forbids(n.kind, line) {
				continue
			}
			seen[id] = true
			found = append(found, Leak{n.kind, n.form, number})
		}
	}
	return found
}

func (h *Hunt) inLine(line string) (found []needle) {
	for _, n := range h.short {
		if strings.Contains(line, n.text) {
			found = append(found, n)
		}
	}
	raw := []byte(line)
	for i := 0; i+window <= len(raw); i++ {
		for _, n := range h.needles[binary.LittleEndian.Uint64(raw[i:])] {
			if strings.HasPrefix(line[i:], n.text) {
				found = append(found, n)
			}
		}
	}
	return found
}
