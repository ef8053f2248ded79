package app

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/fcm"
)

// Tenants is what an apps file declares: the apps, and a provider for each of
// their credentials.
type Tenants struct {
	Apps      []diaphone.App
	Providers map[diaphone.Lane]providers.Provider

	expires map[diaphone.Lane]time.Time // of the credentials that end by themselves
	files   []string                    // that hold secrets
}

// Close closes the providers.
func (t *Tenants) Close() error {
	var faults []error
	for _, p := range t.Providers {
		faults = append(faults, p.Close())
	}
	return errors.Join(faults...)
}

// The shape of an apps file. docs/apps-file.md describes it for people.
type (
	appsFile struct {
		Apps []appEntry `yaml:"apps"`
	}
	appEntry struct {
		ID       string         `yaml:"id"`
		Name     string         `yaml:"name"`
		Enabled  *bool          `yaml:"enabled"` // nil: yes
		Keys     []keyEntry     `yaml:"keys"`
		Tokens   []tokenEntry   `yaml:"tokens"`
		APNs     []apnsEntry    `yaml:"apns"`
		FCM      []fcmEntry     `yaml:"fcm"`
		WebPush  []webPushEntry `yaml:"webpush"`
		Channels channelsEntry  `yaml:"channels"`
		Limits   limitsEntry    `yaml:"limits"`
		Webhooks []webhookEntry `yaml:"webhooks"`
		Confirm  confirmEntry   `yaml:"confirm"`

		Enrolment bool `yaml:"enrolment"`

		IdentityKeys []identityEntry `yaml:"identity_keys"`
	}
	keyEntry struct {
		Key     string          `yaml:"key"`
		Secret  diaphone.Secret `yaml:"secret"`
		Enabled *bool           `yaml:"enabled"` // nil: yes
	}
	tokenEntry struct {
		Token     diaphone.Secret `yaml:"token"`
		SHA256    string          `yaml:"sha256"`
		Name      string          `yaml:"name"`
		Publishes int             `yaml:"publishes_per_second"`
	}
	fcmEntry struct {
		Lane               laneEntry `yaml:",inline"`
		ServiceAccountFile string    `yaml:"service_account_file"`
		Endpoint           string    `yaml:"endpoint"`
	}
	laneEntry struct {
		Name        string  `yaml:"name"`
		Rate        float64 `yaml:"rate"`
		Concurrency int     `yaml:"concurrency"`
	}
)

// LoadApps reads an apps file and the credential files that it names, which are
// looked for beside it. Every fault is reported, each with file and line; no
// message carries what a secret field or a credential file holds. The guard is for
// the endpoints of browsers' subscriptions.
func LoadApps(path string, browsers *egress.Guard) (*Tenants, error) {
	tenants, faults := readApps(path, browsers)
	if len(faults) > 0 {
		return nil, errors.Join(append(faults, tenants.Close())...)
	}
	return tenants, nil
}

// readApps gives what is in order, too, where there are faults.
func readApps(path string, browsers *egress.Guard) (*Tenants, []error) {
	tenants := &Tenants{Providers: make(map[diaphone.Lane]providers.Provider), expires: make(map[diaphone.Lane]time.Time)}
	text, err := os.ReadFile(path)
	if err != nil {
		return tenants, []error{fmt.Errorf("read the apps file: %w; --apps names it, and `diaphone sim --dir DIR` writes one to begin with", err)}
	}
	tenants.files = append(tenants.files, path)
	r := &appsReader{path: path, dir: filepath.Dir(path), browsers: browsers, tenants: tenants}
	f, err := decodeApps(text)
	if err != nil {
		return tenants, []error{fmt.Errorf("%s%w", path, err)}
	}
	if r.tree, err = parser.ParseBytes(text, 0); err != nil {
		return tenants, []error{fmt.Errorf("%s%w", path, yamlFault(err))}
	}
	if len(f.Apps) == 0 {
		r.faultf("$.apps", "the file declares no app")
	}
	for i := range f.Apps {
		r.app(fmt.Sprintf("$.apps[%d]", i), &f.Apps[i])
	}
	if _, err := gateway.NewApps(tenants.Apps); err != nil {
		r.faultf("$.apps", "%v", err)
	}
	return tenants, r.faults
}

// decodeApps reads the one document of an apps file. Its errors begin with the
// position.
func decodeApps(text []byte) (f appsFile, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return f, yamlFault(err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return f, errors.New(": only one YAML document is read; there is a second one behind ---")
	}
	return f, nil
}

var (
	yamlPosition = regexp.MustCompile(`\A\[(\d+:\d+)\] `)
	yamlQuoted   = regexp.MustCompile(`"[^"]*"|'[^']*'|\x60[^\x60]*\x60`)
	fieldName    = regexp.MustCompile(`\A"[a-z_]{1,40}"\z`)
)

// yamlFault gives the position and the kind of a fault without the text that is
// at fault: a value in the wrong place may be a secret. Only what looks like a
// field's name is repeated.
func yamlFault(err error) error {
	text, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	at := ""
	if m := yamlPosition.FindStringSubmatch(text); m != nil {
		at, text = ":"+m[1], text[len(m[0]):]
	}
	text = yamlQuoted.ReplaceAllStringFunc(text, func(q string) string {
		if strings.HasPrefix(text, "unknown field") && fieldName.MatchString(q) {
			return q
		}
		return "[…]"
	})
	return fmt.Errorf("%s: %s; a value that begins with * & | > ! %% @ needs quotes", at, text)
}

// appsReader turns entries into words, collecting faults with their lines.
type appsReader struct {
	path, dir string
	browsers  *egress.Guard
	tree      *ast.File
	tenants   *Tenants
	faults    []error
}

// faultf reports a fault at a place such as "$.apps[0].id".
func (r *appsReader) faultf(at, format string, args ...any) {
	where := fmt.Sprintf("%s:%d: %s", r.path, r.line(at), strings.TrimPrefix(at, "$."))
	r.faults = append(r.faults, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// line finds the line of a place, or of the nearest place around it that exists.
func (r *appsReader) line(at string) int {
	for at != "$" {
		p, err := yaml.PathString(at)
		if err != nil {
			break
		}
		if node, err := p.FilterFile(r.tree); err == nil && node != nil {
			return node.GetToken().Position.Line
		}
		at = at[:max(1, strings.LastIndexAny(at, ".["))]
	}
	return 1
}

// The id is part of URLs (/apps/ID/events), so it must not need escaping.
var appID = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,64}\z`)

func (r *appsReader) app(at string, e *appEntry) {
	a := diaphone.App{ID: diaphone.AppID(e.ID), Name: e.Name, Disabled: !enabled(e.Enabled),
		Limits: r.limits(at+".limits", e.Limits), Channels: r.channels(at+".channels", e.Channels),
		Confirm: r.confirm(at+".confirm", e.Confirm), Enrolment: e.Enrolment}
	if !appID.MatchString(e.ID) {
		r.faultf(at+".id", "an app id is 1 to 64 letters, digits, _ or -; Pusher's SDKs want digits only")
	}
	for i, k := range e.Keys {
		if k.Key == "" || k.Secret == "" {
			r.faultf(fmt.Sprintf("%s.keys[%d]", at, i), "a key needs both key and secret")
		}
		a.Keys = append(a.Keys, diaphone.Key{Key: k.Key, Secret: k.Secret, Disabled: !enabled(k.Enabled)})
	}
	for i, t := range e.Tokens {
		at := fmt.Sprintf("%s.tokens[%d]", at, i)
		if t.Publishes < 0 {
			r.faultf(at+".publishes_per_second", "0 (no limit but the app's) or more")
		}
		if t.Name != "" && !appID.MatchString(t.Name) {
			r.faultf(at+".name", "a token's name is 1 to 64 letters, digits, _ or -")
		}
		if hash, ok := r.token(at, t); ok {
			a.Tokens = append(a.Tokens, diaphone.AccessToken{Hash: hash, Name: t.Name, Publishes: t.Publishes})
		}
	}
	for i := range e.APNs {
		r.apns(fmt.Sprintf("%s.apns[%d]", at, i), &a, &e.APNs[i])
	}
	for i := range e.FCM {
		r.fcm(fmt.Sprintf("%s.fcm[%d]", at, i), &a, &e.FCM[i])
	}
	for i := range e.WebPush {
		r.webPush(fmt.Sprintf("%s.webpush[%d]", at, i), &a, &e.WebPush[i])
	}
	a.IdentityKeys = r.identityKeys(at+".identity_keys", &a, e.IdentityKeys)
	a.Webhooks = r.webhooks(at+".webhooks", &a, e.Webhooks)
	r.tenants.Apps = append(r.tenants.Apps, a)
}

func enabled(said *bool) bool { return said == nil || *said }

func (r *appsReader) token(at string, t tokenEntry) (diaphone.TokenHash, bool) {
	switch {
	case (t.Token == "") == (t.SHA256 == ""):
		r.faultf(at, "give either token or sha256")
	case t.Token != "":
		return diaphone.HashToken(t.Token.Reveal()), true
	default:
		raw, err := hex.DecodeString(t.SHA256)
		if err == nil && len(raw) == len(diaphone.TokenHash{}) {
			return diaphone.TokenHash(raw), true
		}
		r.faultf(at+".sha256", "64 hex digits, as `printf %%s TOKEN | sha256sum` prints them")
	}
	return diaphone.TokenHash{}, false
}

// lane adds a credential to the app and gives the lane it makes.
func (r *appsReader) lane(at string, a *diaphone.App, e laneEntry, c diaphone.Credential) diaphone.Lane {
	c.Name, c.Rate, c.Concurrency = e.Name, e.Rate, e.Concurrency
	if e.Rate < 0 {
		r.faultf(at+".rate", "attempts a second: more than 0, or leave it out for no limit")
	}
	if e.Concurrency < 0 {
		r.faultf(at+".concurrency", "attempts in flight: more than 0, or leave it out for %d", diaphone.DefaultConcurrency)
	}
	if !appID.MatchString(c.Name) {
		r.faultf(at+".name", "a credential's name is 1 to 64 letters, digits, _ or -")
	}
	for _, other := range a.Credentials {
		if other.Name == c.Name {
			r.faultf(at, "two credentials are named %q: give this one a name of its own", c.Name)
		}
	}
	a.Credentials = append(a.Credentials, c)
	return diaphone.Lane{App: a.ID, Credential: c.Name}
}

func (r *appsReader) fcm(at string, a *diaphone.App, e *fcmEntry) {
	e.Lane.Name = cmp.Or(e.Lane.Name, "fcm")
	lane := r.lane(at, a, e.Lane, diaphone.Credential{Provider: diaphone.FCM})
	account, ok := r.secret(at+".service_account_file", e.ServiceAccountFile)
	if !ok {
		return
	}
	p, err := fcm.New(fcm.Config{ServiceAccount: diaphone.Secret(account), Endpoint: e.Endpoint})
	if err != nil {
		r.faultf(at+".service_account_file", "%s: %v", e.ServiceAccountFile, err)
		return
	}
	r.tenants.Providers[lane] = p
}

// file reads a credential file; a relative path is relative to the apps file.
func (r *appsReader) file(at, path string) ([]byte, bool) {
	if path == "" {
		r.faultf(at, "missing: name the file, it is looked for beside the apps file")
		return nil, false
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		r.faultf(at, "%v", err)
		return nil, false
	}
	return text, true
}

// secret is file for what nobody else should be able to read.
func (r *appsReader) secret(at, path string) ([]byte, bool) {
	text, ok := r.file(at, path)
	if ok && !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if ok {
		r.tenants.files = append(r.tenants.files, path)
	}
	return text, ok
}
