package apns

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
	simapns "github.com/diaphone-dev/diaphone/sim/apns"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// blames says of every word on the sheet whether a probe that hears it finds the
// credential sound, at fault, or cannot tell, and what the operator reads.
var blames = map[string]struct {
	grade providers.Grade
	says  string
}{
	"BadDeviceToken":         {providers.Sound, "takes the"},
	"DeviceTokenNotForTopic": {providers.Sound, "takes the"},
	"Unregistered":           {providers.Sound, "takes the"},
	"ExpiredToken":           {providers.Sound, "takes the"},

	"TopicDisallowed":            {providers.Faulty, "may not send to the topic com.example.chat"},
	"BadTopic":                   {providers.Faulty, "bundle id"},
	"MissingTopic":               {providers.Faulty, "bundle id"},
	"InvalidProviderToken":       {providers.Faulty, "key_id and team_id"},
	"ExpiredProviderToken":       {providers.Faulty, "clock"},
	"MissingProviderToken":       {providers.Faulty, "who we are"},
	"Forbidden":                  {providers.Faulty, "agreements"},
	"BadCertificate":             {providers.Faulty, "export it together"},
	"BadCertificateEnvironment":  {providers.Faulty, "`environment`"},
	"BadEnvironmentKeyIdInToken": {providers.Faulty, "`environment`"},
	"BadEnvironmentKeyInToken":   {providers.Faulty, "`environment`"},
	"UnrelatedKeyIdInToken":      {providers.Faulty, "proxy"},

	"TooManyProviderTokenUpdates": {providers.Doubtful, "in a few minutes"},
	"TooManyRequests":             {providers.Doubtful, "in a few minutes"},
	"InternalServerError":         {providers.Doubtful, "in a few minutes"},
	"ServiceUnavailable":          {providers.Doubtful, "in a few minutes"},
	"Shutdown":                    {providers.Doubtful, "in a few minutes"},
}

// probes are all words of the sheet as answers.
func probes() (all []providertest.Probe) {
	for _, row := range sheet {
		want, known := blames[row.reason]
		if !known { // about the message or the path, which a probe has right
			want.grade, want.says = providers.Doubtful, row.reason
		}
		all = append(all, providertest.Probe{Name: row.reason, Grade: want.grade, Says: want.says,
			Push: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(row.status)
				_, _ = fmt.Fprintf(w, `{"reason":%q,"timestamp":1700000000123}`, row.reason)
			}})
	}
	return all
}

// TestProbeAsThingsAre has the simulator find the faults by itself.
func TestProbeAsThingsAre(t *testing.T) {
	lab := newLab(t, sim.Options{KeyEnvironments: []phone.Environment{phone.Production}})
	phones := lab.Device("ana", "ios")
	find := func(spoil func(*Config)) providers.Finding {
		c := lab.config(t)
		spoil(&c)
		return open(t, c).Probe(providertest.Bounded(t))
	}
	for name, c := range map[string]struct {
		spoil  func(*Config)
		grade  providers.Grade
		reason string
	}{
		"as it should be":  {func(*Config) {}, providers.Sound, ""},
		"another key":      {func(c *Config) { c.KeyPEM = diaphone.Secret(newKey(t)) }, providers.Faulty, "InvalidProviderToken"},
		"another key id":   {func(c *Config) { c.KeyID = "OTHERKEY01" }, providers.Faulty, "InvalidProviderToken"},
		"another team":     {func(c *Config) { c.TeamID = "OTHERTEAM1" }, providers.Faulty, "InvalidProviderToken"},
		"another topic":    {func(c *Config) { c.Topic = "com.example.other" }, providers.Faulty, "TopicDisallowed"},
		"nobody's address": {func(c *Config) { c.Host = "127.0.0.1:1" }, providers.Faulty, "unreachable"},
	} {
		if f := find(c.spoil); f.Grade != c.grade || f.Reason != c.reason || f.Detail == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if n := len(lab.Inbox("ana")); n != 0 || phones == "" {
		t.Errorf("probes have shown %d notifications", n)
	}
}

// A key for one environment or for some topics is told apart from a wrong one.
func TestProbeOfScopedKeys(t *testing.T) {
	key := newKey(t)
	parsed, err := parseKey([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	lab := newLab(t, sim.Options{Keys: []simapns.Key{
		{ID: "SANDBOX001", TeamID: "SIMTEAM001", Public: &parsed.PublicKey, Topics: []string{"dev.diaphone.demo"}, Environments: []phone.Environment{phone.Sandbox}},
		{ID: "TOPICKEY01", TeamID: "SIMTEAM001", Public: &parsed.PublicKey, Topics: []string{"dev.diaphone.some"}},
	}})
	for id, reason := range map[string]string{"SANDBOX001": "BadEnvironmentKeyIdInToken", "TOPICKEY01": "TopicDisallowed"} {
		c := lab.config(t)
		c.KeyID, c.KeyPEM = id, diaphone.Secret(key)
		if f := open(t, c).Probe(providertest.Bounded(t)); f.Grade != providers.Faulty || f.Reason != reason {
			t.Errorf("%s: %+v", id, f)
		}
	}
}

// One provider token that counts as expired may be the clock's doing; the answer
// to the next one tells.
func TestProbeWithALateClock(t *testing.T) {
	lab := newLab(t, sim.Options{})
	lab.Faults(providertest.Fault{Provider: "apns", Status: 403, Reason: "ExpiredProviderToken", Count: 1})
	f := open(t, lab.config(t)).Probe(providertest.Bounded(t))
	if f.Grade != providers.Doubtful || f.Advice != adviceClock {
		t.Errorf("%+v", f)
	}
	lab.Faults(providertest.Fault{Provider: "apns", Status: 403, Reason: "ExpiredProviderToken"})
	f = open(t, lab.config(t)).Probe(providertest.Bounded(t))
	if f.Grade != providers.Faulty || f.Advice != adviceClock {
		t.Errorf("%+v", f)
	}
}
