package device_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// publish sends a message to devices and gives its id.
func publish(t *testing.T, s *apitest.Server, token, body string) string {
	t.Helper()
	a := s.Do(token, "POST", "/v1/messages", body)
	must(t, a, 202)
	var p wire.Published
	a.JSON(t, &p)
	return string(p.ID)
}

// says reports kinds of a message, and gives the results as one text.
func says(t *testing.T, s *apitest.Server, secret, message string, kinds ...string) string {
	t.Helper()
	var all []string
	for _, k := range kinds {
		all = append(all, `{"message_id":"`+message+`","kind":"`+k+`"}`)
	}
	a := s.Do(secret, "POST", "/v1/device/receipts", `{"receipts":[`+strings.Join(all, ",")+`]}`)
	must(t, a, 200)
	var out wire.Reported
	a.JSON(t, &out)
	text := ""
	for i, r := range out.Results {
		if string(r.MessageID) != message || string(r.Kind) != kinds[i] {
			t.Errorf("result %d is of %s, %s", i, r.MessageID, r.Kind)
		}
		text += r.Result + " "
	}
	return text
}

func TestReceipts(t *testing.T) {
	s := start(t)
	one, two := enrol(t, s, apitest.Key1, android("tok:one")), enrol(t, s, apitest.Key1, android("tok:two"))
	foreign := enrol(t, s, key2, android("tok:one"))
	id := publish(t, s, apitest.Token1, `{"to":{"devices":["`+string(one.Device.ID)+`"]},"notification":{"title":"x"}}`)
	for secret, want := range map[string]string{one.Secret: "kept kept known ", two.Secret: "unknown unknown unknown ", foreign.Secret: "unknown unknown unknown "} {
		if got := says(t, s, secret, id, "displayed", "opened", "opened"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := says(t, s, one.Secret, "msg_never", "opened"); got != "unknown " {
		t.Errorf("of what is no id: %q", got)
	}
	a := s.Do(apitest.Token1, "GET", "/v1/messages/"+id, "")
	must(t, a, 200)
	var m wire.Message
	a.JSON(t, &m)
	if m.Receipts != (wire.ReceiptCounts{Displayed: 1, Opened: 1}) || m.Counts.Delivered != 0 {
		t.Errorf("%+v", m)
	}
	a = s.Do(apitest.Token1, "GET", "/v1/messages/"+id+"/deliveries", "")
	must(t, a, 200)
	var page wire.Page[wire.Delivery]
	a.JSON(t, &page)
	if len(page.Data) != 1 || len(page.Data[0].Receipts) != 2 || page.Data[0].Receipts[0].Kind != diaphone.ReceiptDisplayed || page.Data[0].Receipts[0].ReceivedAt.IsZero() {
		t.Errorf("%+v", page.Data)
	}
}

func TestReceiptsThatAreRefused(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("tok"))
	one := `{"message_id":"msg_x","kind":"opened"}`
	for body, want := range map[string]string{
		`{"receipts":[]}`: "422 /receipts", `{}`: "422 /receipts", `[]`: "422 ", `{"receipts":[{"kind":"opened"}],"x":1}`: "422 /x",
		`{"receipts":[` + one + `,{"message_id":"msg_x","kind":"read"}]}`:   "422 /receipts/1/kind",
		`{"receipts":[{"message_id":"msg_x","kind":"opened","at":"soon"}]}`: "422 /receipts/0/at",
		`{"receipts":[` + strings.Repeat(one+",", 100) + one + `]}`:         "422 /receipts",
	} {
		a := s.Do(e.Secret, "POST", "/v1/device/receipts", body)
		var p struct{ Errors []struct{ Pointer string } }
		a.JSON(t, &p)
		got := fmt.Sprint(a.Status, " ")
		if len(p.Errors) > 0 {
			got += p.Errors[0].Pointer
		}
		if got != want {
			t.Errorf("%s: %s, want %s; %s", body[:min(len(body), 90)], got, want, a.Body)
		}
	}
	for _, token := range []string{"", apitest.Token1, apitest.Key1} {
		must(t, s.Do(token, "POST", "/v1/device/receipts", `{"receipts":[`+one+`]}`), 401)
	}
}

// What says that the user has the message spares the user's other devices, of a message to
// those who are away.
func TestReceiptsConfirm(t *testing.T) {
	s := start(t)
	e := enrol(t, s, apitest.Key1, android("tok:one"))
	anonymous := enrol(t, s, apitest.Key1, android("tok:two"))
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/"+string(e.Device.ID), `{"platform":"android","user_id":"ana","channels":["news"],"tokens":[{"kind":"fcm","value":"tok:one"}]}`), 200)
	must(t, s.Do(apitest.Token1, "PUT", "/v1/devices/"+string(anonymous.Device.ID), `{"platform":"android","channels":["news"],"tokens":[{"kind":"fcm","value":"tok:two"}]}`), 200)
	for kind, want := range map[string]diaphone.Taking{"delivered": diaphone.TakenElsewhere, "displayed": diaphone.TakenElsewhere,
		"opened": diaphone.TakenElsewhere, "dismissed": "", "decrypt_failed": ""} {
		for when, want := range map[string]diaphone.Taking{"away": want, "always": ""} {
			id := publish(t, s, apitest.Token1, `{"to":{"channels":["news"]},"notification":{"title":"x"},"when":"`+when+`"}`)
			if got := says(t, s, anonymous.Secret, id, kind); got != "kept " {
				t.Errorf("%s: %s", kind, got)
			}
			if how, _ := s.Hub.Taken("1", diaphone.MessageID(id), "ana"); how != "" {
				t.Errorf("%s, %s: nobody's device speaks for ana", kind, when)
			}
			if got := says(t, s, e.Secret, id, kind); got != "kept " {
				t.Errorf("%s: %s", kind, got)
			}
			if how, _ := s.Hub.Taken("1", diaphone.MessageID(id), "ana"); how != want {
				t.Errorf("%s, %s: %q, want %q", kind, when, how, want)
			}
			if how, _ := s.Hub.Taken("1", diaphone.MessageID(id), ""); how != "" {
				t.Errorf("%s, %s: nobody has taken it: %q", kind, when, how)
			}
		}
	}
}
