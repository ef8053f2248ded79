package providertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// testSecrets has the vendor say back everything that it was told, in every
// place where a provider could look for a word.
func testSecrets(t *testing.T, s Subject) {
	said := logs(t)
	var outcomes []string
	note := func(o diaphone.Outcome) {
		outcomes = append(outcomes, fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o), fmt.Sprint(o.Err), o.Reason, o.ProviderID)
	}
	b := s.against(t, nil)
	for _, status := range []int{200, 302, 400, 401, 403, 404, 410, 413, 429, 500, 503} {
		for _, form := range echoes {
			for _, what := range []secret{deviceToken, credential} {
				b.v.Answer(echo(status, what, form))
				note(b.send(bounded(t)))
				outcomes = append(outcomes, fmt.Sprintf("%+v", b.p.Probe(bounded(t))))
			}
		}
	}
	b.v.server.CloseClientConnections()
	b.v.server.Close()
	note(b.send(bounded(t)))

	// An OAuth endpoint that says back what it was told; providers without OAuth
	// never ask it.
	for _, status := range []int{200, 302, 400, 401, 500} {
		for _, form := range echoes {
			other := s.against(t, s.Accept)
			other.v.OAuth(echo(status, credential, form))
			note(other.send(bounded(t)))
			outcomes = append(outcomes, fmt.Sprintf("%+v", other.p.Probe(bounded(t))))
			b.v.seen = append(b.v.seen, other.v.Seen()...)
		}
	}
	canaries := append(b.v.Seen(), s.Secret...)
	canaries = append(canaries, b.token(), b.token()[:len(b.token())/2], AccessToken)
	outcomes = append(outcomes, said.String())
	for _, text := range outcomes {
		for _, canary := range canaries {
			if canary != "" && strings.Contains(strings.ToLower(text), strings.ToLower(canary)) {
				t.Errorf("a secret of %d characters came out in %.400q", len(canary), text)
			}
		}
	}
	if len(b.v.Seen()) == 0 && !s.Mute {
		t.Error("the vendor was shown no credential: the test proves nothing")
	}
}

// echoes are forms in which a secret X comes back.
var echoes = []func(x string) string{
	func(x string) string { return x },
	func(x string) string { return "the token " + x + " is bad" },
	strings.ToUpper,
	func(x string) string { return x[:len(x)*3/4] },
}

// secret is which of the things that came is said back.
type secret int

const (
	deviceToken secret = iota
	credential
)

// echo answers with what came, in the words of all vendors at once.
func echo(status int, what secret, form func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		_, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if a := r.FormValue("assertion"); a != "" {
			key = a
		}
		x := token
		if what == credential {
			x = key
		}
		h := w.Header()
		h.Set("Apns-Id", x)
		h.Set("Retry-After", form(x))
		h.Set("Date", x)
		h.Set("Location", "/"+x)
		h.Set("Www-Authenticate", key)
		w.WriteHeader(status)
		x = form(x)
		body, _ := json.Marshal(map[string]any{
			"reason": x, "timestamp": time.Now().UnixMilli(), "name": projectOf(r) + "/messages/" + x,
			"error_description": x,
			"error": map[string]any{"status": x, "message": x + " " + token + " " + key, "details": []any{
				map[string]any{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": x},
				map[string]any{"fieldViolations": []any{map[string]any{"field": x, "description": x}}},
				map[string]any{"violations": []any{map[string]any{"subject": x, "description": x}}},
			}},
		})
		_, _ = w.Write(body)
	}
}

// projectOf gives "projects/P" of an FCM request.
func projectOf(r *http.Request) string {
	_, rest, _ := strings.Cut(r.URL.Path, "/projects/")
	project, _, _ := strings.Cut(rest, "/")
	return "projects/" + project
}

// tokenOf finds the device's token in a push: in the path at APNs, in the body
// at FCM.
func tokenOf(r *http.Request) string {
	var sent struct{ Message struct{ Token string } }
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body)) // for FormValue
	if json.Unmarshal(body, &sent) == nil && sent.Message.Token != "" {
		return sent.Message.Token
	}
	return r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
}
