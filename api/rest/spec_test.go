package rest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/device"
	"github.com/diaphone-dev/diaphone/api/rest"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/internal/identity"
	"github.com/diaphone-dev/diaphone/storage"
)

// What the contract shows as an example works when it is sent.
func TestExamplesAreExecuted(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	s.Stop() // so that streams end behind their first event
	// In this order, every operation finds what its path names.
	order := []string{"putDevice", "getDevice", "listDevices", "subscribeDevice", "newDeviceSecret", "publishMessage", "getMessage", "listDeliveries", "explain", "watchMessage", "cancelMessage", "unsubscribeDevice", "deleteDevice",
		"publishBatch", "listChannels", "getChannel", "listMembers", "listPastEvents", "getUser", "disconnectUser", "eraseUser",
		"listWebhooks", "listDeadLetters", "resendDeadLetters", "discardDeadLetters"}
	sent := 0
	var message string
	for _, id := range order {
		method, path, o, params := operation(t, s.Judge, id)
		for _, p := range params {
			if p.In == "path" {
				path = strings.Replace(path, "{"+p.Name+"}", fmt.Sprint(p.Example), 1)
			}
		}
		if message != "" {
			path = strings.Replace(path, exampleOf(t, s.Judge, "MessageId"), message, 1)
		}
		query, headers := "?", []string(nil)
		for _, p := range params {
			switch {
			case p.In == "query" && p.Example != nil:
				list := strings.ReplaceAll(strings.Trim(fmt.Sprint(p.Example), "[]"), " ", ",")
				query += p.Name + "=" + list + "&"
			case p.In == "header" && p.Example != nil && p.Name != "Idempotency-Key":
				headers = append(headers, fmt.Sprintf("%s: %v", p.Name, p.Example))
			}
		}
		for name, body := range bodies(t, o) {
			if message != "" {
				query = strings.Replace(query, exampleOf(t, s.Judge, "MessageId"), message, 1)
			}
			a := s.Do(apitest.Token1, method, path+strings.TrimRight(query, "?&"), body, headers...)
			if a.Status > 299 {
				t.Errorf("%s %s: %d %s", id, name, a.Status, a.Body)
			}
			if a.Header.Get("X-Request-Id") != "4bf92f3577b34da6" {
				t.Errorf("%s %s: answered as %s", id, name, a.Header.Get("X-Request-Id"))
			}
			if l := a.Header.Get("Location"); id == "publishMessage" && l != "" {
				message = strings.TrimPrefix(l, "/v1/messages/")
			}
			sent++
		}
	}
	native := 0
	for _, o := range s.Judge.Operations() {
		installations := strings.Contains(o, " /v1/apps/") || strings.HasSuffix(o, " /v1/device") || strings.Contains(o, " /v1/device/")
		if strings.Contains(o, " /v1/") && !installations { // those are tried in their door
			native++
		}
	}
	if native != len(order) || sent <= native {
		t.Errorf("%d of %d operations were tried, with %d requests", len(order), native, sent)
	}
}

func operation(t *testing.T, j *apitest.Judge, id string) (method, path string, o *openapi3.Operation, params []*openapi3.Parameter) {
	t.Helper()
	for path, item := range j.Doc.Paths.Map() {
		for method, o := range item.Operations() {
			if o.OperationID != id {
				continue
			}
			for _, p := range append(item.Parameters, o.Parameters...) {
				params = append(params, p.Value)
			}
			return method, path, o, params
		}
	}
	t.Fatalf("no operation %s", id)
	return "", "", nil, nil
}

func exampleOf(t *testing.T, j *apitest.Judge, parameter string) string {
	t.Helper()
	return j.Doc.Components.Parameters[parameter].Value.Example.(string)
}

func bodies(t *testing.T, o *openapi3.Operation) map[string]string {
	t.Helper()
	if o.RequestBody == nil {
		return map[string]string{"": ""}
	}
	all := map[string]string{}
	for name, e := range o.RequestBody.Value.Content["application/json"].Examples {
		text, err := json.Marshal(e.Value.Value)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

// Every limit of the contract is the constant of the code.
func TestLimitsOfTheContract(t *testing.T) {
	j := apitest.NewJudge(t)
	schema := func(path ...string) *openapi3.Schema {
		s := j.Doc.Components.Schemas[path[0]].Value
		for _, p := range path[1:] {
			s = s.Properties[p].Value
		}
		return s
	}
	_, _, batch, _ := operation(t, j, "publishBatch")
	_, _, publish, parameters := operation(t, j, "publishMessage")
	_, _, put, _ := operation(t, j, "putDevice")
	_, _, enrol, _ := operation(t, j, "enrolDevice")
	_, _, resend, _ := operation(t, j, "resendDeadLetters")
	chosen := resend.RequestBody.Value.Content["application/json"].Schema.Value.Properties["sequences"].Value
	var key *openapi3.Schema
	for _, p := range parameters {
		if p.Name == "Idempotency-Key" {
			key = p.Schema.Value
		}
	}
	limit := j.Doc.Components.Parameters["Limit"].Value.Schema.Value
	for name, c := range map[string]struct{ contract, code any }{
		"device id":            {*schema("DeviceId").MaxLength, diaphone.MaxDeviceID},
		"user id":              {*schema("UserId").MaxLength, diaphone.MaxUserID},
		"channel name":         {*schema("ChannelName").MaxLength, diaphone.MaxChannelName},
		"event name":           {*schema("Event", "name").MaxLength, diaphone.MaxEventName},
		"channels of device":   {*schema("NewDevice", "channels").MaxItems, diaphone.MaxDeviceChannels},
		"users of audience":    {*schema("Audience", "users").MaxItems, diaphone.MaxAudienceUsers},
		"devices of audience":  {*schema("Audience", "devices").MaxItems, diaphone.MaxAudienceDevices},
		"channels":             {*schema("Audience", "channels").MaxItems, diaphone.MaxAudienceChannels},
		"channels of Pusher":   {*schema("PusherEvent", "channels").MaxItems, diaphone.MaxAudienceChannels},
		"ttl":                  {*schema("Notification", "ttl").Max, diaphone.MaxTTL},
		"default ttl":          {schema("Notification", "ttl").Default, diaphone.DefaultTTL},
		"collapse id":          {*schema("Notification", "collapse_id").MaxLength, diaphone.MaxCollapseBytes},
		"page":                 {*limit.Max, storage.MaxPage},
		"default page":         {limit.Default, rest.DefaultPage},
		"items of a page":      {*schema("DevicePage", "data").MaxItems, storage.MaxPage},
		"key":                  {*key.MaxLength, rest.MaxIdempotencyKey},
		"dead letters chosen":  {*chosen.MaxItems, storage.MaxPage},
		"dead letters handled": {*schema("Handled", "count").Max, storage.MaxPage},
		"body that chooses":    {resend.Extensions["x-max-body-bytes"], rest.MaxChosenBody},
		"body of a message":    {publish.Extensions["x-max-body-bytes"], rest.MaxMessageBody},
		"body of a device":     {put.Extensions["x-max-body-bytes"], rest.MaxDeviceBody},
		"body of an enrolment": {enrol.Extensions["x-max-body-bytes"], device.MaxBody},
		"identity token":       {*schema("IdentityToken", "token").MaxLength, identity.MaxBytes},
		"body of a batch":      {batch.Extensions["x-max-body-bytes"], rest.MaxBatchBody},
		"messages of a batch":  {*schema("NewBatch", "messages").MaxItems, gateway.MaxBatch},
		"page of channels":     {*schema("OccupiedChannelPage", "data").MaxItems, storage.MaxPage},
		"devices explained":    {*schema("Explanation", "devices").MaxItems, gateway.MaxExplained},
		"page of members":      {*schema("MemberPage", "data").MaxItems, storage.MaxPage},
	} {
		if fmt.Sprintf("%.0f", toFloat(t, c.contract)) != fmt.Sprint(c.code) {
			t.Errorf("%s: %v in openapi.yaml, %v in the code", name, c.contract, c.code)
		}
	}
	if d := schema("Event", "data").Description; !strings.Contains(d, "10,240") || diaphone.DefaultEventBytes != 10240 {
		t.Errorf("the event's data: %s", d)
	}
}

func toFloat(t *testing.T, v any) float64 {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var f float64
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// At its limits, a document is taken.
func TestLimitsAreInclusive(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	long := func(n int) string { return strings.Repeat("x", n) }
	device := `{"platform":"ios","user_id":"` + long(128) + `","locale":"` + long(35) + `","tags":{` + strings.Trim(list(63, `"t%d":""`), "[]") + `,"` + long(256) + `":"` + long(256) + `"},
		"tokens":[{"kind":"fcm","value":"` + long(4096) + `"}],"channels":["` + long(164) + `"]}`
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/"+long(128), device), 201)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/many", `{"platform":"ios","channels":`+list(1000, `"c%d"`)+`}`), 201)
	if a := s.Do(apitest.Token1, "PUT", "/v1/devices/many/channels/one-more", ""); a.Status != 422 || !strings.Contains(string(a.Body), "1000") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	pad := `{"platform":"ios"}`
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/padded", pad+strings.Repeat(" ", rest.MaxDeviceBody-len(pad))), 201)

	hello := `{"to":{"users":` + list(1000, `"u%d"`) + `,"devices":` + list(1000, `"d%d"`) + `,"channels":` + list(100, `"c%d"`) + `},
		"event":{"name":"` + long(200) + `","data":"` + long(10240) + `","except_socket":"1.2"},
		"notification":{"title":"x","ttl":2419200,"collapse_id":"` + long(64) + `","badge":0}}`
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", hello, "Idempotency-Key: "+long(255)), 202)
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", hello+strings.Repeat(" ", rest.MaxMessageBody-len(hello))), 202)
	must(t, s.Do(apitest.Token1, "GET", "/v1/devices?limit=1000", ""), 200)
	must(t, s.Do(apitest.Token1, "GET", "/v1/devices?limit=1", ""), 200)
	deep := strings.Repeat("[", 30) + strings.Repeat("]", 30)
	must(t, s.Do(apitest.Token1, "POST", "/v1/messages", `{"to":{"users":["a"]},"event":{"name":"e","data":`+deep+`}}`), 202)
}
