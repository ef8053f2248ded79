package gateway

import (
	"path/filepath"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// A secret that is replaced between the proof and the change opens nothing.
func TestAProofHasToHoldInTheTransaction(t *testing.T) {
	store, err := bolt.Open(filepath.Join(t.TempDir(), "diaphone.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	apps, err := NewApps([]diaphone.App{{ID: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	g := New(Config{Apps: apps, Devices: store})
	ctx := t.Context()
	d, secret, err := g.Enrol(ctx, apps.ByID("1"), diaphone.Device{Platform: diaphone.IOS})
	if err != nil {
		t.Fatal(err)
	}
	proved, err := g.Recognise(ctx, secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.NewSecret(ctx, "1", d.ID); err != nil {
		t.Fatal(err)
	}
	_, renewed := g.Renew(ctx, proved, diaphone.Device{Platform: diaphone.Android})
	for what, err := range map[string]error{"renew": renewed, "log out": g.Logout(ctx, proved), "listen": g.Listen(ctx, proved, "news", "")} {
		if diaphone.CodeOf(err) != diaphone.Unauthorized || RefusalOf(err) != string(RefusedSecret) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now, err := g.Device(ctx, "1", d.ID); err != nil || now.Platform != diaphone.IOS || len(now.Channels) != 0 {
		t.Errorf("%+v, %v", now, err)
	}
}
