package canary

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/test/harness"
	"github.com/diaphone-dev/diaphone/test/harness/leak"
)

const patience = 20 * time.Second

// call makes a request with the bearer token of the app, unless a header says another.
func (w *walk) call(method, path, body string, headers ...string) (status int) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.c.bearer)
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := w.HTTP().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode
}

// deliver does what a gateway is for.
func (w *walk) deliver() {
	w.t.Helper()
	for platform, name := range map[diaphone.Platform]string{diaphone.IOS: "ios", diaphone.Android: "android", diaphone.Web: "web"} {
		w.AddPhones(12, platform, name, "news")
	}
	w.Await(w.Send("news", w.c.body), patience)
	event := fmt.Sprintf(`{"to":{"channels":["private-%s","news"],"users":[%q]},"event":{"name":"e","data":%q},"notification":{"body":%[3]q}}`, "room", w.c.user, w.c.body)
	for _, path := range []string{"/v1/messages", "/v1/messages?preview=1"} {
		if status := w.call(http.MethodPost, path, event); status >= 300 {
			w.t.Errorf("%s: %d", path, status)
		}
	}
}

// commands prints what operators and backends see of it.
func (w *walk) commands() {
	w.t.Helper()
	server := []string{"DIAPHONE_SERVER=" + w.URL, "DIAPHONE_TOKEN=" + w.c.bearer, "DIAPHONE_KEY=app-key", "DIAPHONE_SECRET=" + w.c.secret}
	for _, line := range []string{
		"devices ls", "devices get ios-0", "send channel:news again --wait", "send device:ios-1 again --wait --json", "channels ls", "users get " + w.c.user,
		"webhooks ls", "webhooks ls --json", "history news", "config --egress-allow-cidr 127.0.0.0/8 --apps " + w.AppsFile(), "config --json --egress-allow-cidr 127.0.0.0/8 --apps " + w.AppsFile(),
	} {
		if _, errs, code := harness.RunWith(w.t, server, strings.Fields(line)...); code != 0 {
			w.t.Errorf("%s: exit code %d\n%s", line, code, errs)
		}
	}
	wrong := made()
	w.Watch.Plant(leak.BearerToken, wrong.bearer)
	for _, line := range []string{"devices ls", "devices ls --json", "send user:x y", "publish news e {}", "channels ls"} {
		if _, _, code := harness.RunWith(w.t, []string{"DIAPHONE_SERVER=" + w.URL, "DIAPHONE_TOKEN=" + wrong.bearer}, strings.Fields(line)...); code == 0 {
			w.t.Errorf("%s with a wrong token: exit code 0", line)
		}
	}
}

// strangers come with wrong credentials, and with right ones in wrong places.
func (w *walk) strangers() {
	w.t.Helper()
	wrong := made()
	w.Watch.Plant(leak.BearerToken, wrong.bearer)
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("app-key:"+password))
	}
	for _, credential := range []string{
		"Authorization: Bearer " + wrong.bearer, "Authorization: bearer  " + w.c.bearer + "x", "Authorization: " + w.c.bearer,
		"Authorization: Token " + w.c.bearer, "Authorization: Bearer " + w.c.secret, "Authorization: " + basic(w.c.secret), "Authorization: " + basic(w.c.bearer),
		"Authorization: ",
	} {
		for _, path := range []string{"/v1/devices", "/v1/messages/msg_x?token=" + w.c.bearer, "/v1/nothing?token=" + w.c.bearer} {
			if status := w.call(http.MethodGet, path, "", credential, "X-Api-Key: "+w.c.bearer, "Cookie: token="+w.c.bearer); status < 400 {
				w.t.Errorf("%s: %d", path, status)
			}
		}
	}
	for _, text := range []string{
		"GET /v1/devices?token=" + w.c.bearer + " HTTP/9.9\r\n\r\n",
		"GET /v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization Bearer " + w.c.bearer + "\r\n\r\n",
		w.c.bearer + "\r\n\r\n",
		"\x16\x03\x01\x02\x00" + w.c.bearer + "\r\n\r\n",
	} {
		w.raw(text)
	}
}

// raw says what is no request, and has the answer searched.
func (w *walk) raw(text string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, _ := bufio.NewReader(conn).Read(answer) // an end without an answer is one too
	w.Watch.Tell(leak.Answer, "the answer to what is no request", string(answer[:n]))
}

// mistakes are requests of the app's own backend, which has put a token where it does
// not belong, or written no JSON.
func (w *walk) mistakes() {
	w.t.Helper()
	token, endpoint := w.token(), "https://push.example.com/"+w.token()
	keys := `{"p256dh":"` + w.token() + `","auth":"` + w.token() + `"}`
	for _, body := range []string{
		`{"platform":"ios","tokens":[{"kind":"apns","value":"` + token + `"}`,
		`{"platform":"ios","tokens":[{"kind":"apns","value":"` + token + `}]}`,
		`{"platform":"ios","tokens":[{"kind":"apns","value":` + token + `}]}`,
		`{"platform":"ios","tokens":["` + token + `"]}`,
		`{"platform":"ios","tokens":"` + token + `"}`,
		`{"platform":"ios","token":"` + token + `"}`,
		`{"platform":"` + token + `"}`,
		`{"platform":"ios","tokens":[{"kind":"` + token + `","value":"apns"}]}`,
		`{"platform":"ios","tokens":[{"kind":"apns","environment":"` + token + `","value":"00"}]}`,
		`{"platform":"ios","tokens":[{"kind":"apns","value":"` + token + `!"}]}`,
		`{"platform":"ios","time_zone":"` + token + `"}`,
		`{"platform":"ios","locale":"` + token + `"}`,
		`{"platform":"android","tokens":[{"kind":"fcm","value":"` + token + ` "},{"kind":"fcm","value":"` + token + `"}]}`,
		`{"platform":"web","tokens":[{"kind":"webpush","subscription":{"endpoint":"` + endpoint + `","keys":` + keys + `}}]}`,
		`{"platform":"web","tokens":[{"kind":"webpush","subscription":{"endpoint":"http://127.0.0.1:0/` + w.token() + `","keys":` + keys + `}}]}`,
		`{"platform":"web","tokens":[{"kind":"webpush","subscription":{"endpoint":"` + token + `","keys":` + keys + `}}]}`,
		`{"platform":"web","tokens":[{"kind":"webpush","value":"` + endpoint + `"}]}`,
		strings.Repeat("[", 40) + `"` + token + `"`,
		token,
		"\xff" + token,
	} {
		if status := w.call(http.MethodPut, "/v1/devices/d1", body); status < 400 {
			w.t.Errorf("%s: %d", body, status)
		}
	}
	for _, path := range []string{"/v1/devices?cursor=" + token, "/v1/devices?token=" + token, "/v1/devices?limit=" + token, "/v1/channels?prefix=a&prefix=" + token} {
		if status := w.call(http.MethodGet, path, ""); status < 400 {
			w.t.Errorf("%s: %d", path, status)
		}
	}
	if status := w.call(http.MethodPost, "/v1/messages", `{"to":{"devices":["`+token+`"]},"when":"`+token+`","notification":{"body":"x","priority":"`+token+`","mode":"`+token+`"}}`); status < 400 {
		w.t.Errorf("a message with a token everywhere: %d", status)
	}
}

// token makes a token that nothing else has.
func (w *walk) token() string {
	value := strings.TrimPrefix(made().bearer, "dp_") + strings.TrimPrefix(made().bearer, "dp_")
	w.Watch.Plant(leak.DeviceToken, value)
	return value
}

// mistakesOfBackends are those of the Pusher door: the secret where the key or the
// signature belongs.
func (w *walk) mistakesOfBackends() {
	w.t.Helper()
	now := fmt.Sprint(time.Now().Unix())
	for _, query := range []string{
		"auth_key=" + w.c.secret + "&auth_timestamp=" + now + "&auth_version=1.0&auth_signature=x",
		"auth_key=app-key&auth_timestamp=" + now + "&auth_version=1.0&body_md5=d41d8cd98f00b204e9800998ecf8427e&auth_signature=" + w.c.secret,
		"auth_key=app-key&auth_timestamp=" + w.c.secret + "&auth_version=1.0",
		"auth_key=app-key&auth_timestamp=" + now + "&auth_version=" + w.c.secret,
		"auth_key=app-key:" + w.c.secret,
		"auth_key=app-key&auth_key=" + w.c.secret,
	} {
		for _, path := range []string{"/apps/1/events", "/apps/1/users/" + w.c.user + "/terminate_connections"} {
			if status := w.call(http.MethodPost, path+"?"+query, ""); status < 400 {
				w.t.Errorf("%s: %d", path, status)
			}
		}
	}
	for _, path := range []string{"/apps/" + w.c.secret + "/events", "/apps/app-key:" + w.c.secret + "/channels", "/pusher/app/" + w.c.secret + "/418/abcdefgh/xhr"} {
		_ = w.call(http.MethodPost, path, "{}") // the HTTP transports refuse within a session
	}
}

// sockets subscribes and signs in with what is no signature, and connects with the
// secret for a key.
func (w *walk) sockets() {
	w.t.Helper()
	token := w.token()
	for _, key := range []string{"app-key", w.c.secret} {
		conn, early, _, err := ws.Dial(w.t.Context(), strings.Replace(w.URL, "http", "ws", 1)+"/app/"+key+"?protocol=7&token="+w.c.bearer)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		var heard strings.Builder
		if early != nil {
			_, _ = io.CopyN(&heard, early, int64(early.Buffered()))
		}
		for _, text := range []string{
			`{"event":"pusher:subscribe","data":{"channel":"news"}}`,
			`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"app-key:` + w.c.secret + `"}}`,
			`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"` + w.c.secret + `"}}`,
			`{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"app-key:x","channel_data":"{\"user_id\":\"` + w.c.user + `\"}"}}`,
			`{"event":"pusher:signin","data":{"auth":"app-key:` + w.c.secret + `","user_data":"{\"id\":\"` + w.c.user + `\"}"}}`,
			`{"event":"client-x","channel":"private-x","data":"` + w.c.body + `"}`,
			`{"event":"register","data":"` + token + `"}`,
			token,
			`{"event":"pusher:ping","data":{}}`,
		} {
			_ = wsutil.WriteClientText(conn, []byte(text)) // a connection that was refused is gone
		}
		for !strings.Contains(heard.String(), "pusher:pong") {
			text, err := wsutil.ReadServerText(conn)
			if err != nil {
				break
			}
			heard.Write(text)
		}
		if !strings.Contains(heard.String(), "pusher:error") {
			w.t.Errorf("heard %s", heard.String())
		}
		_ = conn.Close()
	}
	harness.Until(w.t, patience, "the webhook is told", func() bool { return w.hooks.Load() > 0 })
}

// vendors has every provider say the token back, with every status.
func (w *walk) vendors() {
	w.t.Helper()
	var fleet struct{ Data []harness.Phone }
	w.SimCall(http.MethodGet, "/sim/devices", nil, &fleet)
	provider := map[string]string{"ios": "apns", "android": "fcm", "web": "webpush"}
	first := 0
	for _, statuses := range [][]int{{400, 404, 410, 413, 500}, {401, 403, 429, 503}} {
		var plan []map[string]any
		var to []diaphone.DeviceID
		for _, p := range fleet.Data {
			var n int
			_, _ = fmt.Sscanf(p.Name[strings.LastIndexByte(p.Name, '-')+1:], "%d", &n) // the names are ours
			if n < first || n >= first+len(statuses) {
				continue
			}
			token, status := p.Token, statuses[n-first]
			if p.Subscription != nil {
				token = p.Subscription.Endpoint
			}
			plan = append(plan, map[string]any{"provider": provider[p.Platform], "status": status, "device": p.Name, "body": fmt.Sprintf(
				`{"reason":%q,"error":{"code":%d,"status":%[1]q,"message":"the token %[1]s is not valid","details":[{"fieldViolations":[{"field":%[1]q,"description":%[1]q}]}]}}`,
				token, status)})
			to = append(to, diaphone.DeviceID(p.Name))
		}
		w.SimCall(http.MethodPut, "/sim/faults", plan, nil)
		w.attempted(to)
		w.again()
		first += len(statuses)
	}
	w.Sim.Kill()
	w.attempted([]diaphone.DeviceID{"ios-11", "android-11", "web-11"})
}

// again starts the gateway again: its lanes wait, because their tokens or credentials
// were refused.
func (w *walk) again() {
	w.t.Helper()
	w.Watch.Scrape(w.URL)
	w.Gateway.Kill()
	w.StartGateway()
}

// attempted sends to devices, waits until one of each kind has been tried (a credential
// that is refused stops its lane for the others), and takes back what is left.
func (w *walk) attempted(to []diaphone.DeviceID) {
	w.t.Helper()
	ttl := 600
	p, err := w.Client.Publish(w.t.Context(), wire.NewMessage{To: wire.Audience{Devices: to},
		Notification: &diaphone.Notification{Title: "vendors", Body: w.c.body, TTL: &ttl}}, "")
	if err != nil {
		w.t.Fatal(err)
	}
	harness.Until(w.t, patience, "all providers have answered", func() bool {
		seen := map[diaphone.ProviderName]int{}
		for d, err := range w.Client.AllDeliveries(context.Background(), p.ID) {
			if err != nil {
				w.t.Fatal(err)
			}
			for _, a := range d.Attempts {
				w.Watch.Tell(leak.Answer, "the reason of an attempt", a.Reason+" "+a.ProviderID)
			}
			seen[d.Provider] += min(1, len(d.Attempts))
		}
		return len(seen) == 3 && seen[diaphone.APNs] > 0 && seen[diaphone.FCM] > 0 && seen[diaphone.WebPush] > 0
	})
	if _, err := w.Client.Cancel(w.t.Context(), p.ID); err != nil {
		w.t.Error(err)
	}
}

// backups looks into the store from outside: what is printed, and what the file has,
// which must be nothing of the apps file.
func (w *walk) backups() {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "backup")
	for _, args := range [][]string{
		{"backup", file, "--data-dir", w.DataDir(), "--json"}, {"backup", file, "--force", "--data-dir", w.DataDir()}, {"check", file}, {"check", file, "--json"},
		{"salvage", file, file + "-2"}, {"salvage", file, file + "-3", "--json"}, {"restore", file, "--data-dir", file + "-dir"},
	} {
		if _, errs, code := harness.Run(w.t, args...); code != 0 {
			w.t.Errorf("diaphone %s: exit code %d\n%s", strings.Join(args, " "), code, errs)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Watch.Tell(leak.Backup, "a backup", string(text))
	// The rule of what a backup may have would let everything pass in a file that is
	// empty, or sealed: this one has what it is made to keep.
	if !strings.Contains(string(text), "android-0") {
		w.t.Error("the backup has not the devices that it is there for")
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if _, _, code := harness.Run(w.t, "check", file); code == 0 {
		w.t.Error("check: nothing is wrong with a backup of which a bit was turned")
	}
}

// faults starts gateways with apps files that are wrong, next to their secrets.
func (w *walk) faults() {
	w.t.Helper()
	text, err := os.ReadFile(w.AppsFile())
	if err != nil {
		w.t.Fatal(err)
	}
	apps := string(text)
	dir := filepath.Dir(w.AppsFile())
	for name, wrong := range map[string]string{
		"no list":             strings.Replace(apps, "- token: "+w.c.bearer, w.c.bearer, 1),
		"a wrong field":       strings.Replace(apps, "- token: "+w.c.bearer, "- "+w.c.bearer+": x", 1),
		"no field":            strings.Replace(apps, "secret: "+w.c.secret, w.c.secret, 1),
		"a list":              strings.Replace(apps, "secret: "+w.c.secret, "secret: ["+w.c.secret+"]", 1),
		"an open quote":       strings.Replace(apps, "secret: "+w.c.secret, `secret: "`+w.c.secret, 1),
		"an alias":            strings.Replace(apps, "secret: "+w.c.secret, "secret: *"+w.c.secret, 1),
		"a token twice":       strings.Replace(apps, "- token: "+w.c.bearer, "- token: "+w.c.bearer+"\n      - token: "+w.c.bearer+"\n        sha256: "+w.c.bearer, 1),
		"no hash":             strings.Replace(apps, "- token: "+w.c.bearer, "- sha256: "+w.c.bearer, 1),
		"a bad header":        strings.Replace(apps, "Bearer "+w.c.header, "Bearer "+w.c.header+"\\n", 1),
		"a bad URL":           strings.Replace(apps, "http://127.0.0.1:1/in", "ftp://user:"+w.c.header+"@127.0.0.1:1/in", 1),
		"a secret for a file": strings.Replace(apps, "key_file: vapid.pem", "key_file: apps.yaml", 1),
	} {
		if wrong == apps {
			w.t.Fatalf("%s: nothing was changed", name)
		}
		path := filepath.Join(dir, "wrong.yaml")
		if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
			w.t.Fatal(err)
		}
		for _, command := range []string{"config", "serve"} {
			if out, _, code := harness.Run(w.t, command, "--apps", path, "--data-dir", filepath.Join(dir, "wrong")); code == 0 {
				w.t.Errorf("%s with %s: exit code 0\n%s", command, name, out)
			}
		}
	}
}

// end is the worst that can happen to a process that knows secrets: it tells the stacks
// of all its goroutines.
func (w *walk) end() {
	w.t.Helper()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/vars", "/debug/requests", "/backup", "/v1/webhooks/" + w.c.told + "/nothing"} {
		if status := w.call(http.MethodGet, path, ""); status != http.StatusNotFound {
			w.t.Errorf("%s: %d, want 404", path, status)
		}
	}
	w.Watch.Scrape(w.URL)
	w.Gateway.Signal(syscall.SIGQUIT)
	w.Gateway.Wait(patience)
}
