package fcm

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
	token := lab.Device("ana", "android")
	m := providertest.Message(diaphone.Notification{
		Title: "Ana", Body: "1 < 2 & 3 > 2", Data: map[string]string{"chat": "7"}, CollapseID: "chat-7",
	})
	d := providertest.Delivery(m, diaphone.TokenFCM, token)

	o := p.Send(providertest.Bounded(t), d)
	if o.Verdict != diaphone.Accepted || o.Status != 200 || o.Err != nil || o.ProviderID == "" {
		t.Fatalf("outcome %+v", o)
	}
	inbox := lab.Inbox("ana")
	if len(inbox) != 1 || inbox[0].Title != "Ana" || inbox[0].Body != "1 < 2 & 3 > 2" {
		t.Fatalf("the phone shows %+v", inbox)
	}
	var got struct{ Message map[string]any }
	if err := json.Unmarshal(inbox[0].Payload, &got); err != nil {
		t.Fatal(err)
	}
	data, _ := got.Message["data"].(map[string]any)
	if data["_nid"] != d.ID || data["_mid"] != string(m.ID) || data["chat"] != "7" || got.Message["token"] != token {
		t.Errorf("payload %s", inbox[0].Payload)
	}
}
