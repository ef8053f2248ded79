package fcm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// own answers with an error of FCM's own; plain with one of Google's front end.
func own(status int, code, message string) http.HandlerFunc {
	return answer(status, fmt.Sprintf(typed, "X", message, code, ""))
}

func plain(status int, code, message string) http.HandlerFunc {
	return answer(status, fmt.Sprintf(`{"error":{"status":%q,"message":%q}}`, code, message))
}

// probes are what FCM and the token endpoint can answer, and what the operator
// reads then.
func probes() []providertest.Probe {
	token := func(status int, code string) http.HandlerFunc {
		return answer(status, fmt.Sprintf(`{"error":%q,"error_description":"x"}`, code))
	}
	return []providertest.Probe{
		{Name: "validated", Grade: providers.Sound, Says: "project canary"},
		{Name: "bad token", Push: own(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"), Grade: providers.Sound, Says: "may send"},
		{Name: "dead token", Push: own(404, "UNREGISTERED", "x"), Grade: providers.Sound, Says: "may send"},
		{Name: "foreign token", Push: own(403, "SENDER_ID_MISMATCH", "x"), Grade: providers.Sound, Says: "may send"},

		{Name: "no permission", Push: plain(403, "PERMISSION_DENIED", "The caller does not have permission"), Grade: providers.Faulty, Says: "does not have permission"},
		{Name: "API disabled", Push: plain(403, "PERMISSION_DENIED", "Firebase Cloud Messaging API has not been used in project 7"), Grade: providers.Faulty, Says: "enable the Firebase Cloud Messaging API"},
		{Name: "no project", Push: plain(404, "NOT_FOUND", "x"), Grade: providers.Faulty, Says: "no such project"},
		{Name: "access token unknown", Push: plain(401, "UNAUTHENTICATED", "x"), Grade: providers.Faulty, Says: "make a new key"},
		{Name: "APNs key", Push: own(401, "THIRD_PARTY_AUTH_ERROR", "x"), Grade: providers.Doubtful, Says: "upload a new APNs key"},
		{Name: "APNs key, as it was called", Push: own(401, "APNS_AUTH_ERROR", "x"), Grade: providers.Doubtful, Says: "upload a new APNs key"},
		{Name: "quota", Push: own(429, "QUOTA_EXCEEDED", "x"), Grade: providers.Doubtful, Says: "in a few minutes"},
		{Name: "internal", Push: own(500, "INTERNAL", "x"), Grade: providers.Doubtful, Says: "in a few minutes"},
		{Name: "bad gateway", Push: answer(502, "<html>"), Grade: providers.Doubtful, Says: "in a few minutes"},
		{Name: "unavailable", Push: own(503, "UNAVAILABLE", "x"), Grade: providers.Doubtful, Says: "in a few minutes"},
		{Name: "new word", Push: own(400, "NEW_IN_THE_FUTURE", "x"), Grade: providers.Doubtful, Says: "nothing certain"},

		{Name: "key deleted", OAuth: token(400, "invalid_grant"), Grade: providers.Faulty, Says: "invalid_grant"},
		{Name: "account gone", OAuth: token(401, "invalid_client"), Grade: providers.Faulty, Says: "this machine's clock"},
		{Name: "account may not", OAuth: token(401, "unauthorized_client"), Grade: providers.Faulty, Says: "make a new key"},
		{Name: "tokens: too many", OAuth: token(429, "x"), Grade: providers.Doubtful, Says: "in a few minutes"},
		{Name: "tokens: down", OAuth: token(503, "x"), Grade: providers.Doubtful, Says: "in a few minutes"},
	}
}

// TestProbeAsThingsAre has the simulator find the faults by itself.
func TestProbeAsThingsAre(t *testing.T) {
	lab := newLab(t, sim.Options{})
	var account map[string]string
	if err := json.Unmarshal([]byte(lab.config(t).ServiceAccount.Reveal()), &account); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		field, value string
		grade        providers.Grade
		reason       string
	}{
		"as it should be": {"type", "service_account", providers.Sound, ""},
		"another project": {"project_id", "somebody-elses", providers.Faulty, "PERMISSION_DENIED"},
		"another key":     {"private_key", newKey(), providers.Faulty, "invalid_grant"},
		"a deleted key":   {"private_key_id", "0000", providers.Faulty, "invalid_grant"},
		"nobody's":        {"token_uri", "http://127.0.0.1:1/token", providers.Faulty, "connection_lost"},
	} {
		changed := map[string]string{}
		for k, v := range account {
			changed[k] = v
		}
		changed[c.field] = c.value
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		f := open(t, Config{ServiceAccount: diaphone.Secret(text), Endpoint: "http://" + lab.Addr + "/v1"}).Probe(providertest.Bounded(t))
		if f.Grade != c.grade || f.Reason != c.reason {
			t.Errorf("%s: %+v", name, f)
		}
		if told := f.Clocked && f.Ahead.Abs() < time.Minute; told == f.Unanswered {
			t.Errorf("%s: Google's clock is %v ahead, told: %t", name, f.Ahead, f.Clocked)
		}
	}
}

// TestProbeTellsTheClock: a clock that is wrong is what an answer without a good
// reason most often comes from.
func TestProbeTellsTheClock(t *testing.T) {
	ahead := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			h(w, r)
		}
	}
	for name, set := range map[string]func(*providertest.Vendor){
		"FCM's": func(v *providertest.Vendor) { v.Answer(ahead(answer(503, ""))) },
		"the token endpoint's": func(v *providertest.Vendor) {
			v.OAuth(ahead(answer(400, `{"error":"invalid_grant"}`)))
		},
	} {
		s := subjectOf(false)
		v := providertest.NewVendor(t, false)
		set(v)
		p := s.New(t, v)
		f := p.Probe(providertest.Bounded(t))
		if !f.Clocked || (f.Ahead-time.Hour).Abs() > time.Minute {
			t.Errorf("%s: %+v", name, f)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
