package apns

import (
	"encoding/json"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/providertest"
	"github.com/diaphone-dev/diaphone/sim"
)

func TestSendShowsOnThePhone(t *testing.T) {
	lab := newLab(t, sim.Options{})
	p := open(t, lab.config(t))
	token := lab.Device("ana", "ios")
	m := providertest.Message(diaphone.Notification{
		Title: "Ana", Body: "1 < 2 & 3 > 2", Data: map[string]string{"chat": "7"}, CollapseID: "chat-7",
	})
	d := providertest.Delivery(m, diaphone.TokenAPNs, token)

	o := p.Send(providertest.Bounded(t), d)
	if o.Verdict != diaphone.Accepted || o.Status != 200 || o.Err != nil || o.ProviderID != d.ID {
		t.Fatalf("outcome %+v", o)
	}
	inbox := lab.Inbox("ana")
	if len(inbox) != 1 || inbox[0].Title != "Ana" || inbox[0].Body != "1 < 2 & 3 > 2" {
		t.Fatalf("the phone shows %+v", inbox)
	}
	rendered, err := p.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range rendered.Header {
		if got := inbox[0].Headers[name]; got != want {
			t.Errorf("%s arrived as %q, Render says %q", name, got, want)
		}
	}
	if got := inbox[0].Headers["apns-id"]; got != d.ID {
		t.Errorf("apns-id %q, the delivery is %q", got, d.ID)
	}
	var got map[string]any
	if err := json.Unmarshal(inbox[0].Payload, &got); err != nil {
		t.Fatal(err)
	}
	if got["_nid"] != d.ID || got["_mid"] != string(m.ID) || got["chat"] != "7" {
		t.Errorf("payload %s", inbox[0].Payload)
	}
}
