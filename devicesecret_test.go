package diaphone_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func TestDeviceSecrets(t *testing.T) {
	seen := map[string]bool{}
	for _, app := range []diaphone.AppID{"1", "a-much-longer-name_of_an-app"} {
		for _, id := range []diaphone.DeviceID{"d", "ana-iphone", diaphone.NewDeviceID(time.Now())} {
			for range 100 {
				text := diaphone.NewDeviceSecret(app, id).Reveal()
				a, d, ok := diaphone.ParseDeviceSecret(text)
				if !ok || a != app || d != id || seen[text] {
					t.Fatalf("%s: %s, %s, %t", text, a, d, ok)
				}
				seen[text] = true
			}
		}
	}
}

func TestWhatIsNoDeviceSecret(t *testing.T) {
	good := diaphone.NewDeviceSecret("1", "ana-iphone").Reveal()
	encoded := func(tail string) string {
		return "dds_" + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", 32)+tail))
	}
	if _, _, ok := diaphone.ParseDeviceSecret(encoded("\x011d")); !ok {
		t.Fatal("a good one is refused")
	}
	for _, text := range []string{
		"", "dds_", good[4:], "DDS_" + good[4:], good + "=", good + "A", good[:len(good)-1], good[:20] + "\n" + good[20:], " " + good,
		"dp_" + good[4:], strings.Repeat("dds_", 200), "dds_" + strings.Repeat("A", 600),
		encoded(""), encoded("\x00d"), encoded("\x01" + "1"), encoded("\x05" + "1d"), encoded("\xff" + "1d"),
		encoded("\x01" + "1" + "a b"), encoded("\x01" + "1" + strings.Repeat("d", 129)), encoded("\x01" + "1.."),
	} {
		if app, id, ok := diaphone.ParseDeviceSecret(text); ok {
			t.Errorf("%q is taken for a secret of %s, %s", text, app, id)
		}
	}
}

// Whatever is read as a secret is written in the one way in which it could have been made.
func FuzzDeviceSecret(f *testing.F) {
	f.Add(diaphone.NewDeviceSecret("1", "d").Reveal())
	f.Add("dds_AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		app, id, ok := diaphone.ParseDeviceSecret(text)
		if !ok {
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(text[4:])
		if err != nil || "dds_"+base64.RawURLEncoding.EncodeToString(raw) != text || app == "" || id.Validate() != nil {
			t.Errorf("%q is read as %q, %q", text, app, id)
		}
	})
}
