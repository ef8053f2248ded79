package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// giveUp leaves dead letters in the data folder of a gateway that is not running.
func giveUp(t *testing.T, dataDir string, id diaphone.WebhookID, n int) {
	t.Helper()
	store, err := bolt.Open(filepath.Join(dataDir, "diaphone.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var a storage.Append
	for i := range n {
		a.Notices = append(a.Notices, storage.AddressedNotice{Webhooks: []diaphone.WebhookID{id},
			Notice: diaphone.Notice{ID: fmt.Sprint("n", i), At: time.Now(), Kind: diaphone.MemberAdded, Channel: "presence-a", User: "ana"}})
	}
	if err := errors.Join(store.Append(t.Context(), a), store.Bury(t.Context(), id, uint64(n), "410 Gone", time.Now()), store.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestWebhooksAreShownAndDeadLettersHandled(t *testing.T) {
	w := harness.NewWorld(t, func(apps string) string {
		return apps + "    webhooks:\n      - name: backend\n        url: http://127.0.0.1:1/secretive-path?key=secretive\n        headers: { Authorization: secretive }\n"
	})
	w.Gateway.Stop(15 * time.Second)
	giveUp(t, w.DataDir(), diaphone.WebhookID{App: "1", Name: "backend"}, 2005)
	w.StartGateway()
	run := func(args ...string) string {
		t.Helper()
		out, errs, code := harness.RunWith(t, []string{"DIAPHONE_SERVER=" + w.URL}, args...)
		if code != 0 || strings.Contains(out+errs, "secretive") {
			t.Fatalf("diaphone %q: exit code %d\n%s%s", args, code, out, errs)
		}
		return out
	}
	if out := run("webhooks", "ls"); !strings.Contains(out, "backend") || !strings.Contains(out, "127.0.0.1:1") || !strings.Contains(out, "2005") {
		t.Errorf("webhooks ls:\n%s", out)
	}
	if out := run("webhooks", "dead", "backend", "--limit", "3"); strings.Count(out, "410 Gone") != 3 || !strings.Contains(out, "member_added") {
		t.Errorf("webhooks dead:\n%s", out)
	}
	for _, c := range []struct{ args, want string }{
		{"resend backend 7 8 99999", "2 resent\n"},
		{"discard backend 1 2 3", "3 discarded\n"},
		{"resend backend --json", "{\n  \"resent\": 2000\n}\n"},
		{"discard backend --all", "0 discarded\n"},
	} {
		if out := run(append([]string{"webhooks"}, strings.Fields(c.args)...)...); out != c.want {
			t.Errorf("webhooks %s: %q, want %q", c.args, out, c.want)
		}
	}
	if out, errs, code := harness.RunWith(t, []string{"DIAPHONE_SERVER=" + w.URL}, "webhooks", "resend", "backend", "99999"); code != 5 || out != "0 resent\n" {
		t.Errorf("a dead letter that is not there: exit code %d\n%s%s", code, out, errs)
	}
	if out := run("webhooks", "list", "--json"); !strings.Contains(out, `"last_sequence": 4007`) {
		t.Errorf("webhooks list:\n%s", out)
	}
	apps := filepath.Join(filepath.Dir(w.DataDir()), "sim", "apps.yaml")
	if _, errs, code := harness.Run(t, "config", "--apps", apps); code != 3 || !strings.Contains(errs, "--egress-allow-cidr") {
		t.Errorf("config of what serve refuses: exit code %d\n%s", code, errs)
	}
	if out := run("config", "--apps", apps, "--egress-allow-cidr", "127.0.0.0/8"); !strings.Contains(out, "name: backend") || !strings.Contains(out, "- Authorization") || !strings.Contains(out, "format: pusher") || !strings.Contains(out, "scheduled: 100000") {
		t.Errorf("config:\n%s", out)
	}
}

func TestWithoutWebhooks(t *testing.T) {
	d := startDev(t)
	if out, errs, code := d.run("webhooks", "ls"); code != 0 || out != "" || errs != "no webhooks are declared; see webhooks: in the apps file\n" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if out := d.must("webhooks", "ls", "--json"); out != "[]\n" {
		t.Errorf("--json: %q", out)
	}
}
