package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// startLive starts a gateway that keeps the history of channels whose names begin
// with news, and aims the commands of the test at it.
func startLive(t *testing.T) *dev {
	t.Helper()
	w := harness.NewWorld(t, func(apps string) string { return apps + "    channels: { history: [{ prefix: news, events: 3 }] }\n" })
	t.Setenv("DIAPHONE_SERVER", w.URL)
	return &dev{t: t, p: w.Gateway, env: []string{"DIAPHONE_SERVER=" + w.URL}}
}

// listen subscribes to channels until the test ends.
func (d *dev) listen(args ...string) {
	d.t.Helper()
	p := harness.Start(d.t, append([]string{"listen"}, args...)...)
	harness.Until(d.t, 10*time.Second, "listening", func() bool { return strings.Contains(p.Stderr(), "listening on") })
}

// signIn holds a connection that is signed in as a user. The channel gets the code
// that it is closed with.
func (d *dev) signIn(user string) (closed <-chan ws.StatusCode) {
	d.t.Helper()
	url := strings.TrimPrefix(d.env[0], "DIAPHONE_SERVER=http")
	conn, buffered, _, err := ws.Dial(context.Background(), "ws"+url+"/app/app-key?protocol=7")
	if err != nil {
		d.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	both := struct {
		io.Reader
		io.Writer
	}{conn, conn}
	if buffered != nil { // frames that came together with the handshake's answer
		both.Reader = buffered
	}
	read := func() (event, data string) {
		text, err := wsutil.ReadServerText(both)
		var f struct {
			Event string
			Data  json.RawMessage
		}
		if err != nil || json.Unmarshal(text, &f) != nil {
			d.t.Fatalf("%s: %v", text, err)
		}
		_ = json.Unmarshal(f.Data, &data) // some are objects
		return f.Event, data
	}
	_, greeting := read()
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	decode(d.t, greeting, &hello)
	userData := fmt.Sprintf(`{"id":%q}`, user)
	mac := hmac.New(sha256.New, []byte("app-secret"))
	mac.Write([]byte(hello.SocketID + "::user::" + userData))
	signIn, err := json.Marshal(map[string]any{"event": "pusher:signin", "data": map[string]string{
		"user_data": userData, "auth": "app-key:" + hex.EncodeToString(mac.Sum(nil)),
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := wsutil.WriteClientText(both, signIn); err != nil {
		d.t.Fatal(err)
	}
	if event, _ := read(); event != "pusher:signin_success" {
		d.t.Fatalf("heard %s", event)
	}
	codes := make(chan ws.StatusCode, 1)
	go func() {
		defer conn.Close()
		_, err := wsutil.ReadServerText(both)
		var end wsutil.ClosedError
		if errors.As(err, &end) {
			codes <- end.Code
		}
		close(codes)
	}()
	d.t.Cleanup(func() {
		_ = conn.Close()
		for range codes { // until the goroutine has ended
		}
	})
	return codes
}

func TestChannelsAreListedAndShown(t *testing.T) {
	d := startLive(t)
	d.listen("news")
	d.listen("presence-room", "--user", "ben")
	d.listen("presence-room", "--user", "ana")
	d.must("publish", "cache-topic", "topic", `{"text":"holidays"}`)

	var list []struct {
		Name, Kind  string
		Subscribers int
		Members     *int
	}
	decode(t, d.must("channels", "ls", "--json"), &list)
	if len(list) != 2 || list[0].Name != "news" || list[0].Members != nil || list[1].Name != "presence-room" || list[1].Subscribers != 2 || *list[1].Members != 2 {
		t.Errorf("channels ls: %+v", list)
	}
	if out := d.must("channels", "ls", "presence-"); strings.Contains(out, "news") || !strings.Contains(out, "presence-room  presence  2            2") {
		t.Errorf("channels ls presence-:\n%s", out)
	}
	if out, errs, _ := d.run("channels", "ls", "--limit", "1"); strings.Contains(out, "presence-room") || !strings.Contains(errs, "--limit") {
		t.Errorf("channels ls --limit 1:\n%s%s", out, errs)
	}
	if out := d.must("channels", "get", "news"); !strings.Contains(out, "3 events for 5m0s, at ") || !strings.Contains(out, "public") {
		t.Errorf("channels get news:\n%s", out)
	}
	if out := d.must("channels", "get", "cache-topic"); !strings.Contains(out, "topic for 30m0s") {
		t.Errorf("channels get cache-topic:\n%s", out)
	}
	var one struct{ Occupied bool }
	if decode(t, d.must("channels", "get", "nobody", "--json"), &one); one.Occupied {
		t.Error("channels get nobody: somebody listens")
	}
	if out := d.must("channels", "members", "presence-room"); strings.Index(out, "ana") > strings.Index(out, "ben") || !strings.Contains(out, "ana") {
		t.Errorf("channels members:\n%s", out)
	}
	if out := d.must("channels", "members", "presence-nobody", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("channels members --json of an empty channel:\n%s", out)
	}
}

func TestUsersAreShownAndDisconnected(t *testing.T) {
	d := startLive(t)
	is := func(want string) {
		t.Helper()
		if out := d.must("users", "get", "ana / ñ"); !strings.Contains(out, want) {
			t.Errorf("users get, want %q in:\n%s", want, out)
		}
	}
	is("no    0            0")
	first, second := d.signIn("ana / ñ"), d.signIn("ana / ñ")
	d.listen("presence-room", "--user", "ana / ñ")
	is("yes   2            1")
	if out := d.must("users", "disconnect", "ana / ñ"); out != "ana / ñ: 2 disconnected\n" {
		t.Errorf("users disconnect:\n%s", out)
	}
	for _, closed := range []<-chan ws.StatusCode{first, second} {
		if code := <-closed; code != 4009 {
			t.Errorf("closed with %d, want 4009", code)
		}
	}
	if out := d.must("users", "disconnect", "nobody", "--json"); !strings.Contains(out, `"disconnected": 0`) {
		t.Errorf("users disconnect nobody:\n%s", out)
	}
	is("yes   0            1")
}

func TestHistoryIsListed(t *testing.T) {
	d := startLive(t)
	type past struct {
		Data     []struct{ Name, Data, Position string }
		Position string
		Complete bool
	}
	history := func(args ...string) (p past) {
		t.Helper()
		decode(t, d.must(append([]string{"history", "news", "--json"}, args...)...), &p)
		return p
	}
	start := history()
	if len(start.Data) != 0 || start.Position == "" {
		t.Fatalf("before all: %+v", start)
	}
	for n := range 3 {
		d.must("publish", "news", "e", fmt.Sprint(n))
	}
	if p := history("--since", start.Position); len(p.Data) != 3 || !p.Complete || p.Data[2].Data != "2" {
		t.Errorf("since the start: %+v", p)
	}
	two := history("--since", start.Position, "--limit", "2")
	if len(two.Data) != 2 || two.Position != two.Data[1].Position {
		t.Errorf("two: %+v", two)
	}
	out, errs, code := d.run("history", "news", "--since", two.Position)
	if code != 0 || !strings.Contains(out, "POSITION") || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "to go on: --since ") || strings.Contains(errs, "missing") {
		t.Errorf("the rest: exit code %d\n%s%s", code, out, errs)
	}
	d.must("publish", "news", "e", "3") // and the first goes
	if _, errs, code := d.run("history", "news", "--since", start.Position); code != 0 || !strings.Contains(errs, "may be missing") {
		t.Errorf("with a gap: exit code %d\n%s", code, errs)
	}
}

// TestABatchIsPublishedLineByLine: what is wrong with one line keeps no other, and
// the whole can be run again.
func TestABatchIsPublishedLineByLine(t *testing.T) {
	d := startLive(t)
	file := filepath.Join(t.TempDir(), "messages.jsonl")
	var lines []string
	for n := range 250 {
		lines = append(lines, fmt.Sprintf(`{"to":{"channels":["news"]},"event":{"name":"e","data":"<%d>"}}`, n))
	}
	lines[7] = `{"to":{"channels":["a b"]},"event":{"name":"e"}}`
	lines[8] = `{"to":{"channels":["news"]},"evnt":{"name":"e"}}`
	lines[9] = ""
	lines[10] = `{"to":{"users":["ana"]},"notification":{"title":"hello"},"idempotency_key":"own"}`
	write := func() {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	out, errs, code := d.run("batch", file, "--idempotency-key", "nightly")
	if code != 8 || strings.Count(out, " accepted\n") != 247 || !strings.Contains(errs, "line 8: 422") || !strings.Contains(errs, "line 9: not a message") || !strings.Contains(errs, "2 of 249") {
		t.Errorf("exit code %d, %d lines\n%s", code, strings.Count(out, "\n"), errs)
	}
	lines[7], lines[8] = lines[0], lines[1]
	write()
	again := d.must("batch", file, "--idempotency-key", "nightly", "--json")
	if n := strings.Count(again, `"replayed":true`); n != 247 || strings.Count(again, "\n") != 249 || !strings.HasPrefix(again, `{"line":1,"message":{"id":"msg_`) {
		t.Errorf("%d of %d lines are replayed\n%.300s", n, strings.Count(again, "\n"), again)
	}
	var p struct{ Data []struct{ Data string } }
	decode(t, d.must("history", "news", "--json"), &p)
	if len(p.Data) != 3 || p.Data[0].Data != "<249>" || p.Data[1].Data != "<0>" || p.Data[2].Data != "<1>" {
		t.Errorf("the last events are %+v", p.Data)
	}
	lines[3] = strings.Repeat("x", 70_000)
	write()
	if out, errs, code := d.run("batch", file); code != 2 || strings.Count(out, "accepted") != 3 || !strings.Contains(errs, "line 4") {
		t.Errorf("a line that is too long: exit code %d\n%s%s", code, out, errs)
	}
}

func TestWrongUseOfTheLiveCommands(t *testing.T) {
	d := startLive(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"channels"}, 2, "ls"},
		{[]string{"channels", "rm", "news"}, 2, "rm"},
		{[]string{"channels", "ls", "a b"}, 2, "/prefix"},
		{[]string{"channels", "ls", "--limit", "0"}, 2, "--limit 0"},
		{[]string{"channels", "ls", "--limit", "x"}, 2, "--limit"},
		{[]string{"channels", "ls", "a", "b"}, 2, "unexpected argument b"},
		{[]string{"channels", "get"}, 2, "channel"},
		{[]string{"channels", "get", ""}, 2, "the channel is empty"},
		{[]string{"channels", "get", "a b"}, 2, "/channel"},
		{[]string{"channels", "get", strings.Repeat("x", 165)}, 2, "164"},
		{[]string{"channels", "members", "news"}, 5, "presence-"},
		{[]string{"channels", "members", ""}, 2, "the channel is empty"},
		{[]string{"channels", "members", "presence-x", "--limit", "-1"}, 2, "--limit"},
		{[]string{"channels", "ls", "--token", "wrong"}, 4, "token"},
		{[]string{"channels", "ls", "--server", "http://127.0.0.1:1"}, 7, "127.0.0.1:1"},
		{[]string{"batch", "/nowhere/messages.jsonl"}, 5, "/nowhere"},
		{[]string{"batch", "go.mod", "live_test.go"}, 2, "unexpected argument"},
		{[]string{"users"}, 2, "disconnect"},
		{[]string{"users", "get", ""}, 2, "the user id is empty"},
		{[]string{"users", "get", strings.Repeat("x", 129)}, 2, "/user_id"},
		{[]string{"users", "disconnect"}, 2, "id"},
		{[]string{"users", "disconnect", ""}, 2, "the user id is empty"},
		{[]string{"users", "disconnect", "ana", "--token", "wrong"}, 4, "token"},
		{[]string{"history"}, 2, "channel"},
		{[]string{"history", ""}, 2, "the channel is empty"},
		{[]string{"history", "sports"}, 5, "channels.history"},
		{[]string{"history", "news", "--since", "yesterday"}, 2, "/since"},
		{[]string{"history", "news", "--limit", "0"}, 2, "--limit 0"},
	} {
		out, errs, code := d.run(c.args...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("diaphone %q: exit code %d, want %d with %q in:\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}
