package app

import (
	"cmp"
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/apns"
)

// apnsEntry is a credential of APNs: a key, or a certificate.
type apnsEntry struct {
	Lane                laneEntry       `yaml:",inline"`
	KeyFile             string          `yaml:"key_file"`
	KeyID               string          `yaml:"key_id"`
	TeamID              string          `yaml:"team_id"`
	CertificateFile     string          `yaml:"certificate_file"`
	CertificateKeyFile  string          `yaml:"certificate_key_file"`
	CertificatePassword diaphone.Secret `yaml:"certificate_password"`
	Topic               string          `yaml:"topic"`
	Environment         string          `yaml:"environment"`
	Host                string          `yaml:"host"`
	CAFile              string          `yaml:"ca_file"`
}

// Apple's key files are named after the key they hold.
var keyFileName = regexp.MustCompile(`\AAuthKey_([A-Z0-9]{10})\.p8\z`)

func (r *appsReader) apns(at string, a *diaphone.App, e *apnsEntry) {
	e.Lane.Name = cmp.Or(e.Lane.Name, "apns")
	env := diaphone.Environment(cmp.Or(e.Environment, string(diaphone.Production)))
	if env != diaphone.Production && env != diaphone.Sandbox {
		r.faultf(at+".environment", "%q: use %s or %s", e.Environment, diaphone.Production, diaphone.Sandbox)
	}
	lane := r.lane(at, a, e.Lane, diaphone.Credential{Provider: diaphone.APNs, Environment: env, Topic: e.Topic})
	c := apns.Config{Topic: e.Topic, Environment: env, Host: e.Host}
	if !r.apnsIdentity(at, e, &c) {
		return
	}
	if e.CAFile != "" {
		pem, ok := r.file(at+".ca_file", e.CAFile)
		if !ok {
			return
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			r.faultf(at+".ca_file", "%s holds no PEM certificate", e.CAFile)
		}
	}
	p, err := apns.New(c)
	if err != nil {
		r.faultf(at, "%v", err)
		return
	}
	r.tenants.Providers[lane] = p
	a.Credentials[len(a.Credentials)-1].Topic = p.Topic() // a certificate names it itself
	if end := p.Expires(); !end.IsZero() {
		r.tenants.expires[lane] = end
	}
}

// apnsIdentity reads the key or the certificate. Of the two, apns.New refuses both.
func (r *appsReader) apnsIdentity(at string, e *apnsEntry, c *apns.Config) bool {
	if m := keyFileName.FindStringSubmatch(filepath.Base(e.KeyFile)); m != nil && e.KeyID == "" {
		e.KeyID = m[1]
	}
	c.KeyID, c.TeamID, c.CertificatePassword = e.KeyID, e.TeamID, e.CertificatePassword
	if e.KeyFile != "" || e.CertificateFile == "" {
		key, ok := r.secret(at+".key_file", e.KeyFile)
		if !ok {
			return false
		}
		c.KeyPEM = diaphone.Secret(key)
	}
	switch {
	case e.CertificateFile != "":
		text, ok := r.secret(at+".certificate_file", e.CertificateFile)
		if ok && e.CertificateKeyFile != "" {
			var key []byte
			key, ok = r.secret(at+".certificate_key_file", e.CertificateKeyFile)
			text = append(append(text, '\n'), key...)
		}
		c.Certificate = diaphone.Secret(text)
		return ok
	case e.CertificateKeyFile != "" || e.CertificatePassword != "":
		r.faultf(at+".certificate_file", "missing: certificate_key_file and certificate_password belong to it")
		return false
	}
	return true
}

// warnOfExpiry logs what ends soon, or has ended: in time for somebody to act.
func (t *Tenants) warnOfExpiry(log *slog.Logger, now time.Time) {
	for lane, end := range t.expires {
		switch left := end.Sub(now); {
		case left <= 0:
			log.Error("an APNs certificate has expired: nothing is sent with it; make a new one on Apple's developer site, put it there and restart",
				"lane", lane, "expires", end)
		case left <= providers.ExpirySoon:
			log.Warn("an APNs certificate expires soon: make a new one on Apple's developer site, put it there and restart",
				"lane", lane, "expires", end)
		}
	}
}
