package rest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

const (
	goodEndpoint = "https://updates.push.services.mozilla.com/wpush/v2/gAAAAAB-canary"
	goodAuth     = "BTBZMqHH6r4Tts7J_aSIgg"
	goodPoint    = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" // of RFC 8291
)

// subscription is what a browser's toJSON() gives.
func subscription(endpoint, auth string) string {
	return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, endpoint, goodPoint, auth)
}

// What a browser gave can be registered as it is, is shown in the same shape, and
// can be put back; the same browser registered as another device moves.
func TestSubscriptionsComeAndGo(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	body := `{"platform":"web","user_id":"ana","tokens":[{"kind":"webpush","subscription":` + subscription(goodEndpoint, goodAuth) + `}]}`
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/browser", body), 201)
	a := s.Do(apitest.Token1, "GET", "/v1/devices/browser", "")
	must(t, a, 200)
	var d wire.Device
	a.JSON(t, &d)
	if len(d.Tokens) != 1 || d.Tokens[0].Kind != diaphone.TokenWebPush || d.Tokens[0].Value != "" || d.Tokens[0].Subscription == nil {
		t.Fatalf("%s", a.Body)
	}
	got := d.Tokens[0].Subscription
	if got.Endpoint != goodEndpoint || got.Keys != (wire.SubscriptionKeys{P256DH: goodPoint, Auth: goodAuth}) {
		t.Errorf("%s", a.Body)
	}
	again, err := json.Marshal(wire.NewDevice{Platform: d.Platform, Tokens: []wire.NewToken{{Kind: diaphone.TokenWebPush, Subscription: got}}})
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/other", string(again)), 201)
	a = s.Do(apitest.Token1, "GET", "/v1/devices/browser", "")
	if a.JSON(t, &d); strings.Contains(string(a.Body), goodEndpoint) {
		t.Errorf("two devices hold one subscription: %s", a.Body)
	}
}
