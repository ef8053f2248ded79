package apns

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// keychain is a .p12 as Keychain exports it: made for this test, for production
// and com.example.chat, with the password "fixture", good until 2126.
const keychain = `
MIID8gIBAzCCA7gGCSqGSIb3DQEHAaCCA6kEggOlMIIDoTCCApcGCSqGSIb3DQEHBqCCAogwggKEAgEAMIICfQYJKoZIhvcNAQcBMBwGCiqGSI
b3DQEMAQYwDgQI3ygDTJm+NWUCAggAgIICUOeHzkOXodvHHR7KfLfYS7OMm/3WCStC3U2/heCaYj90d0DMiBfWHS76bpwIQg20lNa6XLZ/vwZQ
acT9n3iiYclXxmGxcbWA4plkTE0uNf01DZU4w8DO8JGKQZOm9EqPIt3A/rLtavmAvW3CK3D44f2t4+1ooophAtgcHG0azDkUSNmg6VdLpi04gE
F8fk8sVEN+ZR85qt0yV0NsQlbDk+ugRgHbYvfq8mmf/W4OWAkaChToKiClPvkvytyZcGPBEdtBJJgqqT57pH0dZVCpk8HtyhtEn4KBm5r5qR8u
C1lE9fw/eJn24MyFP6MnfyNL+s+g7MCrdhAEpg4ySylasUtqnZFdas+Q7s72bf57/XyZKgs+lMgJaid+4xLiPNm38ZdRmwC1u/iDIK/GX4Dh4b
UcGGFR58EVxZCfPMG07HEAikIVW0+5ibaLb1UtpfAC0D9GOqEk902+gKJXD8J3KulMzL9/Ptg/6IsxB6l4xQI0rXQ1QeK/Ej8OOQjvvaJKpYlX
VaRMgnq7yuTZr679YuxDacD+FjECJoYftRfE3r/3eO4l4Vzv8fc0rkHzDGbnvgvMYkEahMnr15CMO+q2QY/OvE+poCnKuNWJ1F/2PK4id0prXq
m2f6H/PyvgKo9R0q3q2UmhURnYJe54t4rMVNo50tKUSwgtuX4XECxlfp04Fdwia7zK7lHCKVMGwpVwrKL8mR6mpHLOXNVpKgv/VE2rguBov4k6
DLVKzq1+aDAHS+kROT4tlZEvzuj8fIzh+wL19ROJbk50PyJsiWDNJeEwggECBgkqhkiG9w0BBwGggfQEgfEwge4wgesGCyqGSIb3DQEMCgECoI
G0MIGxMBwGCiqGSIb3DQEMAQMwDgQIu2P88bYXXdcCAggABIGQoen/89GhfJgA+YgBNCJ7lp4OR67G9K55+iGBAtNCn4jj/V8S0zXqyOMamMXr
6HxaCOQyNsQ3v2BDFmrxeonQj4KUgWO11U+iveKX6wQ5++oux4eagKmRTlkdsTwSz1yBc5MUjuJFe6nBaMtI81djNlAzZmTyZaL5uUVWXnxWzX
IKOJDevOZqEEmEb6+6P5ZtMSUwIwYJKoZIhvcNAQkVMRYEFD8R13LVFiMGhJkWCqim9vGA71veMDEwITAJBgUrDgMCGgUABBR+YEED0g6FVlOh
EeNScnFM2S8DLwQI/R7wB+YRIBkCAggA`

// certified is the configuration that fits the simulator, with a certificate.
func (l *lab) certified(t testing.TB, i sim.Issue) Config {
	t.Helper()
	c := l.config(t)
	c.KeyPEM, c.KeyID, c.TeamID = "", "", ""
	c.Certificate = diaphone.Secret(l.issue(t, i))
	return c
}

func (l *lab) issue(t testing.TB, i sim.Issue) string {
	t.Helper()
	if i.BundleID == "" {
		i.BundleID = l.cred.Topic
	}
	if i.Environments == nil {
		i.Environments = []phone.Environment{phone.Production, phone.Sandbox}
	}
	if i.NotBefore.IsZero() {
		i.NotBefore = time.Now().Add(-48 * time.Hour)
	}
	if i.NotAfter.IsZero() {
		i.NotAfter = time.Now().Add(100 * 24 * time.Hour)
	}
	text, err := l.sim.Certify(i)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSendWithACertificate(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	c := lab.config(t)
	c.KeyPEM, c.KeyID, c.TeamID, c.Topic = "", "", "", ""
	c.Certificate = lab.read(t, lab.cred.APNsCertificateFile)
	p := open(t, c)
	for range 3 {
		o := p.Send(providertest.Bounded(t), providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token))
		if o.Verdict != diaphone.Accepted {
			t.Fatalf("%+v", o)
		}
	}
	if n := len(lab.Inbox("ana")); n != 3 {
		t.Errorf("%d notifications arrived", n)
	}
	f := p.Probe(providertest.Bounded(t))
	if f.Grade != providers.Sound || !f.Expires.Equal(p.Expires()) || f.Expires.Before(time.Now()) {
		t.Errorf("%+v", f)
	}
}

// What a certificate does not cover is the publisher's to mend: it must not look
// like the credential's fault, which stops all others.
func TestACertificateCoversItsTopicsOnly(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	p := open(t, lab.certified(t, sim.Issue{}))
	call := providertest.Message(diaphone.Notification{Mode: diaphone.ModeVoIP, Data: map[string]string{"id": "1"}})
	if _, err := p.Render(call); err != nil {
		t.Errorf("the app's other devices may take it: %v", err)
	}
	o := p.Send(providertest.Bounded(t), providertest.Delivery(call, diaphone.TokenAPNsVoIP, token))
	if o.Verdict != diaphone.Refused || o.Status != 0 || o.Reason != certificateElsewhere || !strings.Contains(o.Err.Error(), lab.cred.Topic+".voip") {
		t.Errorf("%+v", o)
	}
	own := providertest.Message(diaphone.Notification{Title: "x", APNs: &diaphone.APNsOverride{Headers: map[string]string{"apns-topic": "com.example.other"}}})
	if o := p.Send(providertest.Bounded(t), providertest.Delivery(own, diaphone.TokenAPNs, token)); o.Verdict != diaphone.Refused || o.Status != 400 {
		t.Errorf("%+v", o)
	}
}

// A certificate that is out of date is refused at every attempt and by the probe,
// with its date, and Apple is not asked.
func TestACertificateOutOfDate(t *testing.T) {
	lab := newLab(t, sim.Options{})
	token := lab.Device("ana", "ios")
	day := 24 * time.Hour
	for reason, i := range map[string]sim.Issue{
		certificateExpired: {NotBefore: time.Now().Add(-9 * day), NotAfter: time.Now().Add(-day)},
		certificateEarly:   {NotBefore: time.Now().Add(day), NotAfter: time.Now().Add(9 * day)},
	} {
		p := open(t, lab.certified(t, i))
		o := p.Send(providertest.Bounded(t), providertest.Delivery(providertest.Hello(), diaphone.TokenAPNs, token))
		if o.Verdict != diaphone.Denied || o.Reason != reason || o.Err == nil {
			t.Errorf("%+v", o)
		}
		if f := p.Probe(providertest.Bounded(t)); f.Grade != providers.Faulty || f.Reason != reason || f.Unanswered {
			t.Errorf("%+v", f)
		}
	}
	if n := lab.Stats("apns").Connections; n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// A certificate of one environment is told when it is loaded, one of nobody's by
// the probe.
func TestProbeOfCertificates(t *testing.T) {
	lab, other := newLab(t, sim.Options{}), newLab(t, sim.Options{})
	c := lab.certified(t, sim.Issue{})
	c.Certificate = diaphone.Secret(other.issue(t, sim.Issue{}))
	if f := open(t, c).Probe(providertest.Bounded(t)); f.Grade != providers.Faulty || f.Reason != "BadCertificate" {
		t.Errorf("%+v", f)
	}
}

// FuzzTopics: whatever stands in the extension, what comes out of it are topics.
func FuzzTopics(f *testing.F) {
	f.Add([]byte{0x30, 0x12, 0x0c, 0x09, 'c', 'o', 'm', '.', 'a', '.', 'b', '-', '1', 0x30, 0x05, 0x0c, 0x03, 'a', 'p', 'p'})
	f.Add([]byte{0x30, 0x80, 0x0c})
	f.Add([]byte{0x30, 0x05, 0x0c, 0x03, 'a', '\n', 'b'})
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, topic := range topicsOf(&x509.Certificate{Extensions: []pkix.Extension{{Id: extensionTopics, Value: der}}}) {
			if !every(topic, isTopic) {
				t.Errorf("%q", topic)
			}
		}
	})
}

func TestCertificatesAsTheyAreGiven(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p12, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(keychain, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	live := Config{Environment: diaphone.Production, Certificate: diaphone.Secret(p12), CertificatePassword: "fixture"}
	ca, err := os.ReadFile(lab.cred.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, _ := strings.Cut(lab.issue(t, sim.Issue{}), "-----BEGIN PRIVATE KEY-----")
	key = "-----BEGIN PRIVATE KEY-----" + key
	_, otherKey, _ := strings.Cut(lab.issue(t, sim.Issue{}), "-----BEGIN PRIVATE KEY-----")
	demo := Config{Environment: diaphone.Production, Certificate: diaphone.Secret(certificate + key)}
	nobodys := lab.issue(t, sim.Issue{BundleID: " "})
	for name, c := range map[string]struct {
		good  Config
		spoil func(*Config)
		says  string // empty: it is good
		topic string
	}{
		"a .p12":                {live, func(*Config) {}, "", "com.example.chat"},
		"PEM":                   {demo, func(*Config) {}, "", lab.cred.Topic},
		"PEM, key first":        {demo, func(c *Config) { c.Certificate = diaphone.Secret(key + certificate) }, "", lab.cred.Topic},
		"PEM, its issuer first": {demo, func(c *Config) { c.Certificate = diaphone.Secret(string(ca) + certificate + key) }, "", lab.cred.Topic},
		"a topic that fits":     {live, func(c *Config) { c.Topic = "com.example.chat" }, "", "com.example.chat"},
		"no password":           {live, func(c *Config) { c.CertificatePassword = "" }, "password", ""},
		"a wrong password":      {live, func(c *Config) { c.CertificatePassword = "CANARY" }, "password", ""},
		"half of it":            {live, func(c *Config) { c.Certificate = c.Certificate[:500] }, "openssl pkcs12", ""},
		"nothing of the kind":   {live, func(c *Config) { c.Certificate = "CANARY" }, "openssl pkcs12", ""},
		"no private key":        {demo, func(c *Config) { c.Certificate = diaphone.Secret(certificate) }, "no private key", ""},
		"no certificate":        {demo, func(c *Config) { c.Certificate = diaphone.Secret(key) }, "no certificate", ""},
		"another's key": {demo, func(c *Config) {
			c.Certificate = diaphone.Secret(certificate + "-----BEGIN PRIVATE KEY-----" + otherKey)
		}, "belongs to another", ""},
		"another topic":       {live, func(c *Config) { c.Topic = "com.example.other" }, "is for com.example.chat, not for the topic com.example.other", ""},
		"another environment": {live, func(c *Config) { c.Environment = diaphone.Sandbox }, "not for the environment sandbox", ""},
		"a key too":           {live, func(c *Config) { c.KeyPEM = diaphone.Secret(newKey(t)) }, "a key and a certificate", ""},
		"a key id too":        {live, func(c *Config) { c.KeyID = "ABCDE12345" }, "a key and a certificate", ""},
		"not for push":        {demo, func(c *Config) { c.Certificate = diaphone.Secret(ca) + diaphone.Secret(key) }, "belongs to another", ""},
		"no bundle id":        {demo, func(c *Config) { c.Certificate = diaphone.Secret(nobodys) }, "topic", ""},
	} {
		c.spoil(&c.good)
		p, err := New(c.good)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: %v, want %q in it", name, err, c.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.bundle != c.topic || !slices.Contains(p.pass.topics, c.topic) {
			t.Errorf("%s: topic %s of %v", name, p.bundle, p.pass.topics)
		}
		_ = p.Close()
	}
}
