package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/test/harness"
)

type diagnosis struct {
	Checks []struct {
		Check, App, Credential, Grade, Reason, Detail, Advice string

		Expires time.Time
	}
	Faults, Unknown, Warnings int
}

// patient is a world whose apps file can be spoilt.
type patient struct {
	*harness.World
	t    *testing.T
	dir  string // of the credentials
	apps string
}

func newPatient(t *testing.T, edit func(string) string) *patient {
	w := harness.NewWorld(t, edit)
	dir := filepath.Join(filepath.Dir(w.DataDir()), "sim")
	return &patient{World: w, t: t, dir: dir, apps: filepath.Join(dir, "apps.yaml")}
}

func (p *patient) args(more ...string) []string {
	return append([]string{"doctor", "--apps", p.apps, "--data-dir", p.DataDir(), "--listen", strings.TrimPrefix(p.URL, "http://")}, more...)
}

func (p *patient) examine(more ...string) (diagnosis, int) {
	p.t.Helper()
	out, errs, code := harness.Run(p.t, p.args(append(more, "--json")...)...)
	var d diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		p.t.Fatalf("exit code %d: %v\n%s%s", code, err, out, errs)
	}
	return d, code
}

// of gives the grades of a check.
func (d *diagnosis) of(check, credential string) (grades []string) {
	for _, c := range d.Checks {
		if c.Check == check && c.Credential == credential {
			grades = append(grades, c.Grade)
		}
	}
	return grades
}

// TestDoctor looks at a gateway that is well, while it runs and when it does not, and
// without anybody to ask.
func TestDoctor(t *testing.T) {
	p := newPatient(t, nil)
	for _, running := range []bool{true, false} {
		d, code := p.examine()
		if code != 0 || d.Faults != 0 {
			t.Fatalf("exit code %d: %+v", code, d)
		}
		for _, credential := range []string{"apns", "fcm", "webpush"} {
			if got := d.of("credential", credential); len(got) != 1 || got[0] == "fault" {
				t.Errorf("%s: %v", credential, got)
			}
		}
		for _, check := range []string{"clock", "data_folder", "port"} {
			if got := d.of(check, ""); !slices.Contains(got, "ok") {
				t.Errorf("%s: %v", check, got)
			}
		}
		if says := d.Checks[len(d.Checks)-1].Detail; strings.Contains(says, "the gateway runs") != running {
			t.Errorf("running %t: %s", running, says)
		}
		if running {
			p.Gateway.Kill()
		}
	}
	if shown := p.Inbox(); len(shown) != 0 {
		t.Errorf("a phone shows %+v", shown)
	}
	out, errs, code := harness.Run(t, p.args()...)
	if code != 0 || !strings.Contains(out, "ok       1/apns           APNs (production, 127.0.0.1:") || !strings.Contains(out, "1/webpush") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	p.Sim.Kill()
	if d, code := p.examine("--timeout", "5s"); code != 7 || d.Faults != 0 || d.Unknown != 2 || !slices.Equal(d.of("credential", "fcm"), []string{"unknown"}) {
		t.Errorf("nobody answers: exit code %d: %+v", code, d)
	}
}

// TestDoctorFindsWhatIsWrong spoils one thing at a time.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	p := newPatient(t, nil)
	healthy, err := os.ReadFile(p.apps)
	if err != nil {
		t.Fatal(err)
	}
	const canary = "CANARY-of-a-password"
	for name, c := range map[string]struct {
		old, new   string
		credential string
		says       string
	}{
		"another team":          {"team_id: SIMTEAM001", "team_id: OTHERTEAM1", "apns", "InvalidProviderToken"},
		"another topic":         {"topic: dev.diaphone.demo", "topic: dev.diaphone.other", "apns", "TopicDisallowed"},
		"another's endpoint":    {"/v1 #", "/v2 #", "fcm", "no such project"},
		"no password":           {"- key_file: AuthKey_SIMKEY0001.p8", "- certificate_file: apns-certificate.pem\n        certificate_password: " + canary, "", "a key and a certificate"},
		"an unknown field":      {"team_id:", "team:", "", `unknown field "team"`},
		"a secret in its place": {"topic: dev.diaphone.demo", "topic: dev.diaphone.demo\n        rate: " + canary, "", "apps.yaml"},
	} {
		text := strings.Replace(string(healthy), c.old, c.new, 1)
		if text == string(healthy) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(p.apps, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := harness.Run(t, p.args()...)
		if code != 3 || !strings.Contains(out, c.says) || !strings.Contains(errs, "faults: 1") || strings.Contains(out+errs, canary) {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, errs)
		}
		d, _ := p.examine()
		if c.credential != "" && !slices.Equal(d.of("credential", c.credential), []string{"fault"}) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestACertificateFromEndToEnd: a notification goes out with it, its end is told by
// the log, a metric and the doctor, and when it has come the doctor says so.
func TestACertificateFromEndToEnd(t *testing.T) {
	end := time.Now().Add(10 * 24 * time.Hour).Truncate(time.Second)
	p := newPatient(t, func(apps string) string {
		return strings.Replace(apps, "key_file: AuthKey_SIMKEY0001.p8 # the key's id is in the file's name\n        team_id: SIMTEAM001",
			"certificate_file: apns-certificate.pem", 1)
	})
	p.AddPhones(1, diaphone.IOS, "iphone", "news")
	if m := p.Await(p.Send("news", "hello"), 20*time.Second); m.Counts.Delivered != 1 || len(p.Inbox()) != 1 {
		t.Fatalf("%+v", m)
	}
	p.Gateway.Kill()

	apps, err := os.ReadFile(p.apps)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.apps, []byte(strings.Replace(string(apps), "apns-certificate.pem", "aps.pem", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.certify(end)
	p.StartGateway()
	if log := p.Gateway.Stderr(); !strings.Contains(log, "expires soon") || !strings.Contains(log, "lane=1/apns") {
		t.Errorf("the log says %s", log)
	}
	if got := metric(t, p.URL, `diaphone_push_credential_expires_timestamp_seconds{app="1",credential="apns"}`); got != float64(end.Unix()) {
		t.Errorf("the metric says %v, want %v", got, end.Unix())
	}
	if d, code := p.examine(); code != 0 || !slices.Equal(d.of("credential", "apns"), []string{"warning"}) {
		t.Errorf("exit code %d: %+v", code, d)
	}
	p.Gateway.Kill()

	p.certify(time.Now().Add(-time.Hour))
	p.StartGateway() // the others' messages go out all the same
	if log := p.Gateway.Stderr(); !strings.Contains(log, "has expired") {
		t.Errorf("the log says %s", log)
	}
	if d, code := p.examine(); code != 3 || d.Faults != 1 || !slices.Equal(d.of("credential", "apns"), []string{"fault"}) {
		t.Errorf("exit code %d: %+v", code, d)
	}
	p.Send("news", "too late")
	harness.Until(t, 20*time.Second, "the lane is paused", func() bool {
		return metric(t, p.URL, `diaphone_push_lane_paused{app="1",credential="apns"}`) == 1
	})
}

// certify writes aps.pem, a certificate of the running simulators' CA.
func (p *patient) certify(end time.Time) {
	p.t.Helper()
	s, err := sim.New(p.dir, sim.Options{Address: strings.TrimPrefix(p.SimURL, "http://")})
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := s.Certify(sim.Issue{BundleID: "dev.diaphone.demo", Environments: []phone.Environment{phone.Production},
		NotBefore: end.Add(-365 * 24 * time.Hour), NotAfter: end})
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "aps.pem"), text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// metric reads one sample.
func metric(t *testing.T, url, name string) float64 {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var value float64
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if err := json.Unmarshal([]byte(strings.TrimSpace(rest)), &value); err != nil {
				t.Fatal(err)
			}
		}
	}
	return value
}
