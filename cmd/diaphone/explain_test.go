package main

import (
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// What a phone has reported, and since when a token is gone, is read aloud; that a record
// has changed is no registration.
func TestATaleOfADevice(t *testing.T) {
	now := time.Date(2026, 9, 1, 5, 42, 38, 0, time.Local)
	at := func(ago time.Duration) wire.Time { return wire.At(now.Add(-ago)) }
	x := wire.Explanation{Message: &wire.Message{}, Devices: []wire.DeviceStory{{
		DeviceID: "anas",
		Device: &wire.Device{Platform: diaphone.IOS, CreatedAt: at(72 * time.Hour), UpdatedAt: at(0), Tokens: []wire.Token{
			{Kind: diaphone.TokenAPNs, Fingerprint: "ab12", State: wire.TokenGone, RegisteredAt: at(48 * time.Hour), GoneAt: at(0), GoneReason: "Unregistered"}}},
		Delivery: &wire.Delivery{Receipts: []wire.DeviceReceipt{
			{Kind: diaphone.ReceiptDisplayed, At: at(2 * time.Second)}, {Kind: diaphone.ReceiptOpened, At: at(time.Second)}}},
	}}}
	text := newTale(&x, now).tell()
	for _, want := range []string{
		"Registered for the first time 3 days ago.\n",
		"Token apns ab12, registered 2 days ago; gone since 2026-09-01 05:42:38 (Unregistered).\n",
		"The phone reported: displayed 2026-09-01 05:42:36, opened 2026-09-01 05:42:37.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
