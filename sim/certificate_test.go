package sim_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/certificate"

	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// TestAPNsCertificates drives the simulator with apns2, which knows nothing of it,
// and a certificate of each kind.
func TestAPNsCertificates(t *testing.T) {
	b, other := start(t, sim.Options{}), start(t, sim.Options{})
	ana := b.add("ana", "ios")
	topic, soon := b.cred.Topic, time.Now().Add(time.Hour)
	both := []phone.Environment{phone.Production, phone.Sandbox}
	own, err := os.ReadFile(b.cred.APNsCertificateFile)
	must(t, err)
	issue := func(from *lab, i sim.Issue) []byte {
		i.NotBefore = time.Now().Add(-24 * time.Hour)
		if i.NotAfter.IsZero() {
			i.NotAfter = soon
		}
		text, err := from.sim.Certify(i)
		must(t, err)
		return text
	}
	for name, c := range map[string]struct {
		pem   []byte
		topic string
		token string
		kind  apns2.EPushType
		want  string
	}{
		"its own":                  {own, topic, ana.Token, apns2.PushTypeAlert, ""},
		"its own, a call":          {own, topic + ".voip", ana.VoIPToken, apns2.PushTypeVOIP, ""},
		"its own, without a topic": {own, "", ana.Token, apns2.PushTypeAlert, "MissingTopic"},
		"its own, a live activity": {own, topic + ".push-type.liveactivity", ana.Token, apns2.PushTypeLiveActivity, "TopicDisallowed"},
		"its own, another topic":   {own, "com.example.other", ana.Token, apns2.PushTypeAlert, "TopicDisallowed"},
		"its own, invented token":  {own, topic, "00ff", apns2.PushTypeAlert, "BadDeviceToken"},
		"for one topic":            {issue(b, sim.Issue{BundleID: topic, Environments: both}), "", ana.Token, apns2.PushTypeAlert, ""},
		"for one topic, a call":    {issue(b, sim.Issue{BundleID: topic, Environments: both}), topic + ".voip", ana.VoIPToken, apns2.PushTypeVOIP, "TopicDisallowed"},
		"of the sandbox":           {issue(b, sim.Issue{BundleID: topic, Environments: both[1:]}), topic, ana.Token, apns2.PushTypeAlert, "BadCertificateEnvironment"},
		"none for push":            {issue(b, sim.Issue{BundleID: topic}), topic, ana.Token, apns2.PushTypeAlert, "BadCertificate"},
		"expired":                  {issue(b, sim.Issue{BundleID: topic, Environments: both, NotAfter: time.Now().Add(-time.Hour)}), topic, ana.Token, apns2.PushTypeAlert, "BadCertificate"},
		"of somebody else":         {issue(other, sim.Issue{BundleID: topic, Environments: both}), topic, ana.Token, apns2.PushTypeAlert, "BadCertificate"},
	} {
		pair, err := certificate.FromPemBytes(c.pem, "")
		must(t, err)
		config := b.tlsConfig()
		config.Certificates = []tls.Certificate{pair}
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
		client := &apns2.Client{Host: "https://" + b.addr, HTTPClient: &http.Client{Transport: transport, Timeout: bound}}
		res, err := client.Push(&apns2.Notification{DeviceToken: c.token, Topic: c.topic, PushType: c.kind, Payload: []byte(hello)})
		must(t, err)
		if res.Reason != c.want || res.Sent() != (c.want == "") {
			t.Errorf("%s: %d %q, want %q", name, res.StatusCode, res.Reason, c.want)
		}
		transport.CloseIdleConnections()
	}
	if n := len(b.inbox("ana")); n != 3 {
		t.Errorf("%d notifications arrived, want 3", n)
	}
}
