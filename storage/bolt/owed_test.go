package bolt

import (
	"fmt"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage/storagetest"
)

// A delivery among a hundred pages is found by reading one of them whole, and of seven
// others only where they begin.
func TestOneDeliveryOfMany(t *testing.T) {
	s := newStore(t, Options{hooks: hooks{planPage: 4}})
	const devices = 400
	id := func(i int) diaphone.DeviceID { return diaphone.DeviceID(fmt.Sprint("device-", i)) }
	for i := range devices {
		d := testDevice(string(id(i)))
		d.Channels = []diaphone.ChannelName{diaphone.ChannelName(fmt.Sprint("c", i%3)), "all"}
		mustPut(t, s, d)
	}
	m := testMessage()
	m.To.Channels = []diaphone.ChannelName{"c2", "c0", "all", "empty"}
	mustAccept(t, s, m)
	for done := false; !done; {
		var err error
		if done, _, err = s.Plan(t.Context(), testApp, m.ID, testRoute); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 { // they may be anywhere
		if err := storagetest.Leave(t.Context(), s, testApp, id(i), "all"); err != nil {
			t.Fatal(err)
		}
	}
	err := s.view(t.Context(), func(tx *txn) error {
		of, _ := messageOf(testApp, m.ID)
		p, _, err := tx.progress(of)
		if err != nil || p.pages < devices/4 {
			t.Fatalf("%d pages, %v", p.pages, err)
		}
		for i := range devices {
			look := search{plan: newPlan(tx, of, m, p, nil), id: id(i), begins: map[uint32]position{}, looked: map[uint32]bool{}}
			found, err := look.run()
			if err != nil || found == nil || found.roster.entries[found.index].device != look.id {
				t.Fatalf("device %d: %+v, %v", i, found, err)
			}
			whole, begins := 1, 8
			if i < 20 { // by each way that may have led there
				whole, begins = 4, 32
			}
			if len(look.looked) > whole || len(look.begins) > begins {
				t.Fatalf("device %d: %d pages were read, and of %d the beginning", i, len(look.looked), len(look.begins))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
