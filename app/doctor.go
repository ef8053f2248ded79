package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
)

// Doctor looks at everything that a gateway with this configuration depends on. It
// takes no lock and changes nothing that lasts, so that it may run beside the gateway.
type Doctor struct {
	Config
	Patience time.Duration     // for the answer of one provider
	Public   []diaphone.Secret // tokens and secrets of the demo, which everybody knows
}

// Unasked is the grade of what could not be asked: nothing is known of it.
const Unasked providers.Grade = "unknown"

// Check is one line of a doctor's report. No text in it carries a secret.
type Check struct {
	What       string          `json:"check"` // apps_file, credential, clock, …
	App        diaphone.AppID  `json:"app,omitempty"`
	Credential string          `json:"credential,omitempty"`
	Grade      providers.Grade `json:"grade"`
	Reason     string          `json:"reason,omitempty"` // a provider's own word
	Detail     string          `json:"detail"`
	Advice     string          `json:"advice,omitempty"`
	Expires    *time.Time      `json:"expires,omitempty"`
}

func sound(what, format string, args ...any) Check {
	return Check{What: what, Grade: providers.Sound, Detail: fmt.Sprintf(format, args...)}
}

func some(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func doubtful(what, detail, advice string) Check {
	return Check{What: what, Grade: providers.Doubtful, Detail: detail, Advice: advice}
}

func faulty(what, detail, advice string) Check {
	return Check{What: what, Grade: providers.Faulty, Detail: detail, Advice: advice}
}

// Examine makes all checks; it waits for the providers' answers until Patience is
// over or ctx ends.
func (d *Doctor) Examine(ctx context.Context) []Check {
	all := d.settings()
	guard := d.Egress(nil)
	tenants, faults := readApps(d.Apps, d.pushServices(guard))
	defer tenants.Close()
	for _, f := range faults {
		all = append(all, faulty("apps_file", f.Error(), "mend it; docs/apps-file.md describes every field"))
	}
	if len(faults) == 0 {
		all = append(all, sound("apps_file", "%s: %s, %s", d.Apps, some(len(tenants.Apps), "app"), some(len(tenants.Providers), "credential")))
	}
	all = append(all, modes(tenants.files)...)
	all = append(all, d.publicSecrets(tenants)...)
	if err := tenants.CheckWebhooks(guard); err != nil {
		all = append(all, faulty("webhooks", err.Error(), "give a public https URL, or let its range out with --egress-allow-cidr"))
	}
	findings := d.probe(ctx, tenants)
	for _, f := range findings {
		all = append(all, f.check())
	}
	all = append(all, clock(findings))
	all = append(all, d.folder()...)
	return append(all, append(d.tls(), d.port(ctx))...)
}

// found is what a probe of one credential has said.
type found struct {
	lane diaphone.Lane
	providers.Finding
}

// probeAtOnce bounds the probes under way: an apps file may have hundreds of
// credentials.
const probeAtOnce = 8

// probe asks about all credentials.
func (d *Doctor) probe(ctx context.Context, t *Tenants) []found {
	var all []found
	for lane := range t.Providers {
		all = append(all, found{lane: lane})
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.lane.App, b.lane.App), cmp.Compare(a.lane.Credential, b.lane.Credential))
	})
	slots := make(chan struct{}, probeAtOnce)
	var asking sync.WaitGroup
	for i := range all {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, d.Patience)
			defer cancel()
			all[i].Finding = t.Providers[all[i].lane].Probe(ctx)
		})
	}
	asking.Wait()
	return all
}

// check puts a finding into a line. A credential that is in order but ends soon is
// worth a warning.
func (f *found) check() Check {
	c := Check{What: "credential", App: f.lane.App, Credential: f.lane.Credential, Grade: f.Grade,
		Reason: f.Reason, Detail: f.Detail, Advice: f.Advice}
	if f.Unanswered {
		c.Grade = Unasked
	}
	if f.Expires.IsZero() {
		return c
	}
	c.Expires = &f.Expires
	if f.Grade == providers.Sound {
		c.Detail += ", until " + f.Expires.Format(time.DateOnly)
	}
	if f.Grade == providers.Sound && time.Until(f.Expires) <= providers.ExpirySoon {
		c.Grade, c.Advice = providers.Doubtful, "make a new certificate on Apple's developer site before that day, put it in the old one's place and restart"
	}
	return c
}

// How far our clock may be off. Provider tokens of APNs are issued three minutes
// late for the sake of clocks that run ahead, and Google takes assertions of five
// minutes' difference.
const (
	clockNear = 30 * time.Second
	clockFar  = 3 * time.Minute
)

// clock compares ours with those of the providers that told the time.
func clock(findings []found) Check {
	worst, told := time.Duration(0), 0
	for _, f := range findings {
		if f.Clocked {
			told++
		}
		if f.Clocked && f.Ahead.Abs() > worst.Abs() {
			worst = f.Ahead
		}
	}
	detail := fmt.Sprintf("this machine's clock is %s behind a provider's", worst)
	if worst < 0 {
		detail = fmt.Sprintf("this machine's clock is %s ahead of a provider's", -worst)
	}
	const advice = "keep the clock with NTP (timedatectl set-ntp true): providers refuse tokens that are signed at another time than theirs"
	switch {
	case told == 0:
		return sound("clock", "not compared: no provider has told its time")
	case worst.Abs() >= clockFar:
		return faulty("clock", detail, advice)
	case worst.Abs() >= clockNear:
		return doubtful("clock", detail, advice)
	}
	return sound("clock", "within %s of the providers'", clockNear)
}

// settings checks the flags: what serve would refuse, and doors that stand open.
func (d *Doctor) settings() []Check {
	var all []Check
	if err := d.Validate(); err != nil {
		all = append(all, faulty("settings", err.Error(), "change the flag, its environment variable or its key in the configuration file"))
	}
	proxies, _ := d.trustedProxies() // Validate has told
	for _, p := range proxies {
		if p.Bits() == 0 {
			all = append(all, doubtful("settings", fmt.Sprintf("--trusted-proxies %s believes everybody: any client can choose the address that is logged, and pass for one on TLS", p), "name your proxies' addresses only"))
		}
	}
	if d.TLSCert == "" && len(d.Proxies) == 0 && !onLoopback(d.Listen) {
		all = append(all, doubtful("settings", fmt.Sprintf("--listen %s is open to other machines and speaks plain HTTP: tokens and messages can be read on the way", d.Listen),
			"give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that speaks TLS"))
	}
	if len(d.EgressAllowCidr) == 0 && len(d.PushHosts) == 0 {
		return append(all, sound("egress", "webhooks and browsers' subscriptions lead to public addresses only"))
	}
	for _, p := range d.EgressAllowCidr {
		all = append(all, opened(p))
	}
	if len(d.PushHosts) > 0 {
		all = append(all, sound("egress", "subscriptions may also lead to %s", strings.Join(d.PushHosts, ", ")))
	}
	return all
}

// publicSecrets finds what is good on a developer's machine only.
func (d *Doctor) publicSecrets(t *Tenants) (all []Check) {
	for _, a := range t.Apps {
		known := slices.ContainsFunc(d.Public, func(s diaphone.Secret) bool {
			hash := diaphone.HashToken(s.Reveal())
			return slices.ContainsFunc(a.Tokens, func(t diaphone.AccessToken) bool { return t.Hash == hash }) ||
				slices.ContainsFunc(a.Keys, func(k diaphone.Key) bool { return !k.Disabled && k.Secret == s })
		})
		if !known {
			continue
		}
		c := doubtful("secrets", "a token or key secret of the app is that of the demo, which everybody knows", "make up others before anybody else can reach the gateway (openssl rand -hex 20)")
		c.App = a.ID
		if !onLoopback(d.Listen) {
			c.Grade = providers.Faulty
		}
		all = append(all, c)
	}
	return all
}

// tls checks the certificate that the listener shows.
func (d *Doctor) tls() []Check {
	if d.TLSCert == "" || d.TLSKey == "" {
		return nil
	}
	pair, err := (&certificate{certFile: d.TLSCert, keyFile: d.TLSKey}).read()
	if err != nil {
		return []Check{faulty("tls", err.Error(), "put a certificate and its key there, both PEM")}
	}
	end := pair.Leaf.NotAfter
	c := sound("tls", "the certificate for %s is good until %s", strings.Join(pair.Leaf.DNSNames, ", "), end.Format(time.DateOnly))
	const renew = "renew it; a running gateway reads it again by itself"
	switch {
	case expired(pair):
		c = faulty("tls", "the certificate has expired on "+end.Format(time.DateOnly), renew)
	case time.Until(end) <= providers.ExpirySoon:
		c.Grade, c.Advice = providers.Doubtful, renew
	}
	c.Expires = &end
	return []Check{c}
}
