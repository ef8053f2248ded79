// Package sdk drives unmodified official SDKs against the program and its
// simulators.
package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/sim"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// scriptTimeout is for a machine that is busy; a script takes about a second.
const scriptTimeout = time.Minute

// startSim runs a Sim until the test ends and returns it with its port.
func startSim(t *testing.T) (*sim.Sim, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.New(t.TempDir(), sim.Options{Address: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return s, port
}

// addPhone adds a phone in a state and returns its token.
func addPhone(t *testing.T, s *sim.Sim, spec phone.Spec, state phone.State) string {
	t.Helper()
	phones, err := s.Phones().Add(spec)
	if err != nil {
		t.Fatal(err)
	}
	phones[0].SetState(state)
	return phones[0].Token
}

// runScript runs a script of this folder with node and decodes what it prints.
func runScript(t *testing.T, script string, devices map[string]string, out any, env ...string) {
	t.Helper()
	if _, err := os.Stat("../node_modules"); err != nil {
		t.Fatal("the npm packages are not installed: run `make deps`")
	}
	text, err := json.Marshal(devices)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(append(os.Environ(), env...), "DEVICES="+string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, stderr.String())
	}
	if err := json.Unmarshal(stdout, out); err != nil {
		t.Fatalf("node %s printed %q: %v\n%s", script, stdout, err, stderr.String())
	}
}

func TestSimAPNsWithNodeAPN(t *testing.T) {
	s, port := startSim(t)
	cred := s.Credentials()
	ios := func(name string) phone.Spec {
		return phone.Spec{Name: name, Platform: phone.IOS, Environment: phone.Production, Topic: cred.Topic}
	}
	before := time.Now()
	devices := map[string]string{
		"accepted":    addPhone(t, s, ios("ana"), phone.Online),
		"uninstalled": addPhone(t, s, ios("bob"), phone.Uninstalled),
		"unknown":     strings.Repeat("0", 64),
	}
	var got map[string]struct {
		Sent      bool
		Status    int
		Reason    string
		Timestamp int64
		Error     string
	}
	runScript(t, "sim_apn.mjs", devices, &got,
		"APNS_PORT="+port, "APNS_CA="+cred.CAFile, "APNS_KEY="+cred.APNsKeyFile,
		"APNS_KEY_ID="+cred.KeyID, "APNS_TEAM_ID="+cred.TeamID, "APNS_TOPIC="+cred.Topic)

	if r := got["accepted"]; !r.Sent {
		t.Errorf("accepted: %+v", r)
	}
	if r := got["unknown"]; r.Sent || r.Status != 400 || r.Reason != "BadDeviceToken" {
		t.Errorf("unknown: %+v", r)
	}
	since := time.UnixMilli(got["uninstalled"].Timestamp)
	if r := got["uninstalled"]; r.Sent || r.Status != 410 || r.Reason != "Unregistered" || since.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("uninstalled: %+v", r)
	}
	inbox := s.Phones().Inbox().Newest("", 10)
	if len(inbox) != 1 || inbox[0].Device != "ana" || !strings.Contains(string(inbox[0].Payload), "node-apn") {
		t.Errorf("inbox: %+v", inbox)
	}
}

func TestSimFCMWithFirebaseAdmin(t *testing.T) {
	s, port := startSim(t)
	cred := s.Credentials()
	android := func(name string) phone.Spec {
		return phone.Spec{Name: name, Platform: phone.Android, ProjectID: cred.ProjectID}
	}
	devices := map[string]string{
		"accepted":    addPhone(t, s, android("ana"), phone.Online),
		"uninstalled": addPhone(t, s, android("bob"), phone.Uninstalled),
		"malformed":   "nonsense",
	}
	type result struct {
		Sent              bool
		ID, Code, Message string
	}
	var got map[string]map[string]result
	runScript(t, "sim_fcm.mjs", devices, &got,
		"FCM_PORT="+port, "FCM_CA="+cred.CAFile, "FCM_ACCOUNT="+cred.ServiceAccountFile)

	for _, call := range []string{"send", "sendEach"} {
		results := got[call]
		if r := results["accepted"]; !r.Sent || !strings.HasPrefix(r.ID, "projects/diaphone-sim/messages/0:") {
			t.Errorf("%s accepted: %+v", call, r)
		}
		if r := results["uninstalled"]; r.Sent || r.Code != "messaging/registration-token-not-registered" {
			t.Errorf("%s uninstalled: %+v", call, r)
		}
		if r := results["malformed"]; r.Sent || r.Code != "messaging/invalid-argument" {
			t.Errorf("%s malformed: %+v", call, r)
		}
	}
	if inbox := s.Phones().Inbox().Newest("ana", 10); len(inbox) != 2 {
		t.Errorf("the inbox has %d entries, want one for each call", len(inbox))
	}
}
