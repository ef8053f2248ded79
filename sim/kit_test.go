package sim_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/sim"
)

// bound is how long a test waits for something that should come at once.
const bound = 10 * time.Second

// lab is a running Sim and clients for it.
type lab struct {
	t    testing.TB
	sim  *sim.Sim
	addr string
	cred sim.Credentials
	key  *ecdsa.PrivateKey
	jwt  string       // good for SIMKEY0001
	h2   *http.Client // APNs
	http *http.Client // everything else
	stop func()
}

func start(t testing.TB, o sim.Options) *lab {
	t.Helper()
	return startIn(t, t.TempDir(), o)
}

// startIn starts a Sim with the credentials of dir; o.Address is the listener's.
func startIn(t testing.TB, dir string, o sim.Options) *lab {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	o.Address = l.Addr().String()
	s, err := sim.New(dir, o)
	must(t, err)
	return serve(t, s, l)
}

func serve(t testing.TB, s *sim.Sim, listeners ...net.Listener) *lab {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listeners...) }()
	b := &lab{t: t, sim: s, addr: listeners[0].Addr().String(), cred: s.Credentials()}
	b.key = readP8(t, b.cred.APNsKeyFile)
	b.jwt = signES256(t, b.key, b.cred.KeyID, b.cred.TeamID, time.Now())
	*b = *b.reconnect()
	plain := &http.Transport{}
	b.http = &http.Client{Transport: plain, Timeout: bound}
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		plain.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(b.stop)
	return b
}

// with returns the lab for a subtest.
func (b *lab) with(t testing.TB) *lab {
	c := *b
	c.t = t
	return &c
}

// reconnect returns the lab with a connection to APNs of its own.
func (b *lab) reconnect() *lab {
	transport := &http.Transport{TLSClientConfig: b.tlsConfig(), ForceAttemptHTTP2: true}
	b.t.Cleanup(transport.CloseIdleConnections)
	c := *b
	c.h2 = &http.Client{Transport: transport, Timeout: bound}
	return &c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *lab) tlsConfig() *tls.Config {
	b.t.Helper()
	text, err := os.ReadFile(b.cred.CAFile)
	must(b.t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		b.t.Fatal("no certificate in the CA file")
	}
	return &tls.Config{RootCAs: roots}
}

func readP8(t testing.TB, path string) *ecdsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	return key.(*ecdsa.PrivateKey)
}

func b64(v any) string {
	raw, ok := v.([]byte)
	if !ok {
		raw, _ = json.Marshal(v)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func signES256(t testing.TB, key *ecdsa.PrivateKey, kid, iss string, iat time.Time) string {
	t.Helper()
	return signParts(t, key, map[string]any{"alg": "ES256", "kid": kid}, map[string]any{"iss": iss, "iat": iat.Unix()})
}

func signParts(t testing.TB, key *ecdsa.PrivateKey, header, claims map[string]any) string {
	t.Helper()
	text := b64(header) + "." + b64(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	must(t, err)
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return text + "." + b64(sig[:])
}

// do sends a request to the HTTP side; a body is JSON text.
func (b *lab) do(method, path, body string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequest(method, "http://"+b.addr+path, strings.NewReader(body))
	must(b.t, err)
	res, err := b.http.Do(r)
	must(b.t, err)
	return res.StatusCode, readAll(b.t, res)
}

func readAll(t testing.TB, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	must(t, err)
	return string(text)
}

// ok sends a request that has to succeed and decodes its answer into out.
func (b *lab) ok(out any, method, path, body string) {
	b.t.Helper()
	status, text := b.do(method, path, body)
	if status/100 != 2 {
		b.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	if out != nil {
		must(b.t, json.Unmarshal([]byte(text), out))
	}
}

type device struct {
	Name, Platform, Token, State, Environment, Topic string
	VoIPToken                                        string    `json:"voip_token"`
	Uninstalled                                      time.Time `json:"uninstalled_at"`
}

func (b *lab) add(name, platform string) device {
	b.t.Helper()
	var d device
	b.ok(&d, "POST", "/sim/devices", fmt.Sprintf(`{"name":%q,"platform":%q}`, name, platform))
	return d
}

func (b *lab) move(name, state string) device {
	b.t.Helper()
	var d device
	b.ok(&d, "PATCH", "/sim/devices/"+name, fmt.Sprintf(`{"state":%q}`, state))
	return d
}

func (b *lab) faults(plan string) {
	b.t.Helper()
	b.ok(nil, "PUT", "/sim/faults", plan)
}

type entry struct {
	Device, Provider, Title, Body string
	Headers                       map[string]string
	Payload                       json.RawMessage
	Received                      time.Time `json:"received_at"`
	Delivered                     time.Time `json:"delivered_at"`
}

// inbox returns what a phone received, newest first.
func (b *lab) inbox(device string) []entry {
	b.t.Helper()
	var out struct{ Data []entry }
	b.ok(&out, "GET", "/sim/inbox?limit=1000&device="+device, "")
	return out.Data
}

type counts struct {
	Requests, Accepted, Refused, Connections uint64
	ByReason                                 map[string]uint64 `json:"by_reason"`
	MaxPerSecond                             uint64            `json:"max_per_second"`
}

func (b *lab) stats() map[string]counts {
	b.t.Helper()
	out := map[string]counts{}
	b.ok(&out, "GET", "/sim/stats", "")
	return out
}

// pushed is APNs' answer.
type pushed struct {
	status     int
	header     http.Header
	Reason     string
	Timestamp  int64
	bodyLength int
}

// push sends an alert to a token; changes are headers to set, or with an empty
// value to leave out.
func (b *lab) push(token, payload string, changes ...string) pushed {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://"+b.addr+"/3/device/"+token, strings.NewReader(payload))
	must(b.t, err)
	r.Header.Set("authorization", "bearer "+b.jwt)
	r.Header.Set("apns-topic", b.cred.Topic)
	r.Header.Set("apns-push-type", "alert")
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			r.Header.Del(changes[i])
		} else {
			r.Header.Set(changes[i], changes[i+1])
		}
	}
	return b.send(r)
}

func (b *lab) send(r *http.Request) pushed {
	b.t.Helper()
	res, err := b.h2.Do(r)
	must(b.t, err)
	text := readAll(b.t, res)
	p := pushed{status: res.StatusCode, header: res.Header, bodyLength: len(text)}
	if text != "" {
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		must(b.t, d.Decode(&p))
	}
	return p
}

const hello = `{"aps":{"alert":{"title":"Hi","body":"hello"}}}`
