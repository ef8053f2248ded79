package device_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// claims of an identity token.
type claims map[string]any

// token signs as a backend of app 1 would that has no library: HS256 with the secret of
// the app's first key.
func token(t *testing.T, c claims) string {
	t.Helper()
	now := time.Now().Unix()
	all := claims{"aud": "1", "iat": now, "exp": now + 600}
	for k, v := range c {
		all[k] = v
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	mac := hmac.New(sha256.New, []byte("canary-secret-of-app-one"))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func body(token string) string { return `{"token":"` + token + `"}` }

func bind(t *testing.T, s *apitest.Server, secret string, c claims) apitest.Answer {
	t.Helper()
	return s.Do(secret, "PUT", "/v1/device/user", body(token(t, c)))
}

// ago is an iat so many seconds before now.
func ago(seconds int64) int64 { return time.Now().Unix() - seconds }

func userOf(t *testing.T, s *apitest.Server, secret string) string {
	t.Helper()
	return string(deviceIn(t, s.Do(secret, "GET", "/v1/device", "")).UserID)
}

func TestNewerBeatsOlder(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("x"))
	step := func(what string, a apitest.Answer, status int, user string) {
		t.Helper()
		if a.Status != status {
			t.Fatalf("%s: %d %s, want %d", what, a.Status, a.Body, status)
		}
		if got := userOf(t, s, e.Secret); got != user {
			t.Fatalf("%s: bound to %q, want %q", what, got, user)
		}
	}
	first, second := ago(300), ago(200)
	step("the first", bind(t, s, e.Secret, claims{"sub": "ana", "iat": first}), 200, "ana")
	step("the same again", bind(t, s, e.Secret, claims{"sub": "ana", "iat": first}), 200, "ana")
	step("another user of the same second", bind(t, s, e.Secret, claims{"sub": "ben", "iat": first}), 409, "ana")
	step("an older one", bind(t, s, e.Secret, claims{"sub": "ben", "iat": first - 1}), 409, "ana")
	step("an older one of the same user", bind(t, s, e.Secret, claims{"sub": "ana", "iat": first - 1}), 409, "ana")
	step("a newer one", bind(t, s, e.Secret, claims{"sub": "ben", "iat": second}), 200, "ben")
	step("the first, again", bind(t, s, e.Secret, claims{"sub": "ana", "iat": first}), 409, "ben")
	step("logout", s.Do(e.Secret, "DELETE", "/v1/device/user", ""), 204, "")
	step("logout again", s.Do(e.Secret, "DELETE", "/v1/device/user", ""), 204, "")
	step("a replay", bind(t, s, e.Secret, claims{"sub": "ben", "iat": second}), 409, "")
	step("one of just before the logout", bind(t, s, e.Secret, claims{"sub": "ben", "iat": ago(0) - 1}), 409, "")
	step("one of after it", bind(t, s, e.Secret, claims{"sub": "ana", "iat": ago(-2)}), 200, "ana")
	// From a clock that is ahead of ours: a logout ends what it has signed too.
	ahead := ago(-20)
	step("from a clock that is ahead", bind(t, s, e.Secret, claims{"sub": "ana", "iat": ahead}), 200, "ana")
	step("logout", s.Do(e.Secret, "DELETE", "/v1/device/user", ""), 204, "")
	step("its replay", bind(t, s, e.Secret, claims{"sub": "ana", "iat": ahead}), 409, "")
	step("its next", bind(t, s, e.Secret, claims{"sub": "ana", "iat": ahead + 1}), 200, "ana")
}

// What the backend says of the user counts as now, and what it says of the rest does not
// touch the user or the secret.
func TestTheBackendsWordCountsAsNow(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("x"))
	path := "/v1/devices/" + string(e.Device.ID)
	must(t, bind(t, s, e.Secret, claims{"sub": "ana", "iat": ago(100)}), 200)
	must(t, s.Do(apitest.Token1, "PUT", path, `{"platform":"android","user_id":"ana"}`), 200)
	must(t, bind(t, s, e.Secret, claims{"sub": "ana", "iat": ago(90)}), 200) // the same user: nothing was bound
	must(t, s.Do(apitest.Token1, "PUT", path, `{"platform":"android","user_id":"ben"}`), 200)
	must(t, bind(t, s, e.Secret, claims{"sub": "ana", "iat": ago(5)}), 409)
	if got := userOf(t, s, e.Secret); got != "ben" {
		t.Errorf("bound to %q", got)
	}
	must(t, s.Do(apitest.Token1, "PUT", path, `{"platform":"android"}`), 200)
	must(t, bind(t, s, e.Secret, claims{"sub": "ben", "iat": ago(5)}), 409)
	must(t, bind(t, s, e.Secret, claims{"sub": "ben", "iat": ago(-2)}), 200)
}

// A device that its backend has registered gets a secret from it.
func TestASecretFromTheBackend(t *testing.T) {
	s := start(t)
	must(t, s.Do(apitest.Token1, "POST", "/v1/devices/nobody/secret", ""), 404)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios","user_id":"ana"}`), 201)
	secret := func() string {
		var d wire.DeviceSecret
		a := s.Do(apitest.Token1, "POST", "/v1/devices/d1/secret", "")
		must(t, a, 200)
		a.JSON(t, &d)
		return d.Secret
	}
	first := secret()
	if got := userOf(t, s, first); got != "ana" {
		t.Errorf("bound to %q", got)
	}
	must(t, bind(t, s, first, claims{"sub": "ben", "iat": ago(5)}), 409) // from before
	second := secret()
	must(t, s.Do(first, "GET", "/v1/device", ""), 401)
	must(t, s.Do(second, "GET", "/v1/device", ""), 200)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/d1", `{"platform":"ios"}`), 200)
	must(t, s.Do(second, "GET", "/v1/device", ""), 200)
	must(t, s.Do(apitest.Token2, "PUT", "/v1/devices/d1", `{"platform":"ios"}`), 201) // another app's
	must(t, s.Do(apitest.Token2, "POST", "/v1/devices/d1/secret", ""), 200)
	must(t, s.Do(second, "GET", "/v1/device", ""), 200)
}

func TestIdentityTokensRefused(t *testing.T) {
	s := start(t)
	e, other := enrol(t, s, apitest.Key1, android("x")), enrol(t, s, apitest.Key1, android("y"))
	theirs := enrol(t, s, key2, android("z"))
	good := token(t, claims{"sub": "ana"})
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		secret, body, code string
		status             int
	}{
		"forged":             {e.Secret, body(parts[0] + "." + parts[1] + "." + strings.Repeat("A", 43)), "not_signed", 403},
		"none":               {e.Secret, body("eyJhbGciOiJub25lIn0." + parts[1] + "."), "not_signed", 403},
		"foreign":            {theirs.Secret, body(good), "not_signed", 403},
		"too long":           {e.Secret, body(token(t, claims{"sub": "ana", "x": strings.Repeat("x", 7000)})), "not_signed", 403},
		"expired":            {e.Secret, body(token(t, claims{"sub": "ana", "iat": ago(700), "exp": ago(60)})), "token_expired", 403},
		"of another app":     {e.Secret, body(token(t, claims{"sub": "ana", "aud": "2"})), "token_audience", 403},
		"of another device":  {e.Secret, body(token(t, claims{"sub": "ana", "device": other.Device.ID})), "token_device", 403},
		"for hours":          {e.Secret, body(token(t, claims{"sub": "ana", "exp": ago(-7200)})), "token_lifetime", 403},
		"for nobody":         {e.Secret, body(token(t, claims{})), "token_subject", 403},
		"no token at all":    {e.Secret, body("x"), "not_signed", 403},
		"another type":       {e.Secret, body(token(t, claims{"sub": 5})), "token_claims", 403},
		"nothing":            {e.Secret, `{"token":""}`, "required", 422},
		"no token":           {e.Secret, `{}`, "required", 422},
		"a user":             {e.Secret, `{"user_id":"ana"}`, "unknown_field", 422},
		"an unproved device": {"dds_x", body(good), "-", 401},
	} {
		a := s.Do(c.secret, "PUT", "/v1/device/user", c.body)
		var p wire.Problem
		a.JSON(t, &p)
		code := "-"
		if len(p.Errors) > 0 {
			code = p.Errors[0].Code
		}
		if a.Status != c.status || code != c.code {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if strings.Contains(string(a.Body), parts[1]) {
			t.Errorf("%s: the answer has the token", name)
		}
	}
	must(t, s.Do(e.Secret, "PUT", "/v1/device/user", body(token(t, claims{"sub": "ana", "device": e.Device.ID}))), 200)
	for _, secret := range []string{other.Secret, theirs.Secret} {
		if got := userOf(t, s, secret); got != "" {
			t.Errorf("bound to %q", got)
		}
	}
	metrics := string(s.Do("", "GET", "/metrics", "").Body)
	for reason, n := range map[string]int{"token_signature": 3, "token_malformed": 1, "token_claims": 1, "token_too_long": 1, "token_expired": 1, "token_audience": 1, "token_device": 1,
		"token_lifetime": 1, "token_subject": 1, "secret_malformed": 1, "secret_wrong": 0, "token_outdated": 0} {
		if line := fmt.Sprintf("diaphone_identities_refused_total{reason=%q} %d\n", reason, n); !strings.Contains(metrics, line) {
			t.Errorf("the metrics do not have %s", line)
		}
	}
	for _, canary := range []string{parts[1], parts[2], e.Secret} {
		if strings.Contains(s.Log(), canary) {
			t.Error("a token or a secret is in the log")
		}
	}
}

func TestChannelsOfAnInstallation(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("x"))
	channels := func() string {
		t.Helper()
		return fmt.Sprint(deviceIn(t, s.Do(e.Secret, "GET", "/v1/device", "")).Channels)
	}
	put := func(channel, body string) apitest.Answer {
		t.Helper()
		return s.Do(e.Secret, "PUT", "/v1/device/channels/"+channel, body)
	}
	opens := func(user string, c ...string) string {
		return body(token(t, claims{"sub": user, "channels": c, "iat": ago(100)}))
	}

	must(t, put("news", ""), 204)
	must(t, put("news", ""), 204)
	must(t, put("cache-news", ""), 204)
	for _, channel := range []string{"private-a", "presence-a", "private-encrypted-a", "%23server-to-user-ana", "private-cache-a"} {
		a := put(channel, "")
		if !strings.Contains(string(a.Body), `"pointer":"/token","code":"required"`) || a.Status != 422 {
			t.Errorf("%s without a token: %d %s", channel, a.Status, a.Body)
		}
	}
	must(t, put("private-a", opens("ana", "private-a")), 403) // nobody is bound
	must(t, put("a%20b", ""), 422)
	must(t, bind(t, s, e.Secret, claims{"sub": "ana", "iat": ago(100)}), 200)
	must(t, put("private-a", opens("ana", "private-a")), 204)
	must(t, put("presence-b-7", opens("ana", "presence-b-*")), 204)
	for name, a := range map[string]apitest.Answer{
		"another channel": put("private-z", opens("ana", "private-a")),
		"another user":    put("private-z", opens("ben", "*")),
		"no channels":     put("private-z", opens("ana")),
		"her own":         put("%23server-to-user-ana", opens("ana", "*")),
	} {
		if a.Status != 403 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if got := channels(); got != "[news cache-news private-a presence-b-7]" {
		t.Errorf("channels %s", got)
	}
	must(t, s.Do(e.Secret, "DELETE", "/v1/device/channels/cache-news", ""), 204)
	must(t, s.Do(e.Secret, "DELETE", "/v1/device/channels/cache-news", ""), 204)
	// What ana was let into is not ben's.
	must(t, bind(t, s, e.Secret, claims{"sub": "ben", "iat": ago(50)}), 200)
	if got := channels(); got != "[news]" {
		t.Errorf("channels after another user: %s", got)
	}
	must(t, put("private-c", body(token(t, claims{"sub": "ben", "channels": []string{"private-c"}, "iat": ago(50)}))), 204)
	stale := body(token(t, claims{"sub": "ben", "channels": []string{"*"}, "iat": ago(40)}))
	must(t, s.Do(e.Secret, "DELETE", "/v1/device/user", ""), 204)
	if got := channels(); got != "[news]" {
		t.Errorf("channels after the logout: %s", got)
	}
	must(t, put("private-c", stale), 409)
}

// Whoever wins a race of bindings and logouts, the device ends as the newest word says.
func TestBindingsAtOnce(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("x"))
	var group sync.WaitGroup
	newest := ago(10)
	for i := range 20 {
		group.Go(func() {
			iat := newest - int64(i)
			a := bind(t, s, e.Secret, claims{"sub": fmt.Sprint("user-", iat), "iat": iat})
			if a.Status != 200 && a.Status != 409 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	group.Wait()
	if got := userOf(t, s, e.Secret); got != fmt.Sprint("user-", newest) {
		t.Errorf("bound to %s, want the newest, %d", got, newest)
	}
	for range 20 {
		group.Go(func() { _ = bind(t, s, e.Secret, claims{"sub": "late", "iat": ago(5)}) })
	}
	group.Go(func() { must(t, s.Do(e.Secret, "DELETE", "/v1/device/user", ""), 204) })
	group.Wait()
	if got := userOf(t, s, e.Secret); got != "" {
		t.Errorf("bound to %s after the logout", got)
	}
}

func TestEraseUser(t *testing.T) {
	s := start(t)
	var secrets []string
	for i := range 3 {
		e := enrol(t, s, apitest.Key1, android(fmt.Sprint("token-", i)))
		must(t, bind(t, s, e.Secret, claims{"sub": []string{"ana", "ana", "ben"}[i]}), 200)
		secrets = append(secrets, e.Secret)
	}
	v := s.Visit()
	v.SignIn("ana")
	var erased wire.Erased
	a := s.Do(apitest.Token1, "DELETE", "/v1/users/ana", "")
	must(t, a, 200)
	if a.JSON(t, &erased); erased != (wire.Erased{Devices: 2, Connections: 1}) {
		t.Errorf("%+v", erased)
	}
	must(t, s.Do(secrets[0], "GET", "/v1/device", ""), 401)
	must(t, s.Do(secrets[1], "GET", "/v1/device", ""), 401)
	must(t, s.Do(secrets[2], "GET", "/v1/device", ""), 200)
	s.Do(apitest.Token1, "DELETE", "/v1/users/ana", "").JSON(t, &erased)
	if erased.Devices != 0 { // the connection may be on its way out yet
		t.Errorf("erased twice: %+v", erased)
	}
}
