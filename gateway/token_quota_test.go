package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

// A bearer token has a rate of its own within the app's; what one limit refuses is not
// booked on the other.
func TestAdmitByToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apps, err := NewApps([]diaphone.App{{ID: "1", Limits: diaphone.Limits{Publishes: 20}, Tokens: []diaphone.AccessToken{
			{Hash: diaphone.HashToken("slow"), Name: "cms", Publishes: 10}, {Hash: diaphone.HashToken("free")},
			{Hash: diaphone.HashToken("fast"), Publishes: 40},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		refused := map[string]int{}
		g := New(Config{Apps: apps, Refused: func(_ diaphone.AppID, limit string) { refused[limit]++ }})
		app := apps.ByID("1")
		for i, c := range []struct {
			token string
			n     int
			left  []int // of each quota that is shown
			wait  time.Duration
		}{
			{"slow", 4, []int{6, 16}, 0},
			{"slow", 7, []int{6}, 100 * time.Millisecond}, // none of the seven, of neither
			{"slow", 6, []int{0, 10}, 0},
			{"slow", 1, []int{0}, 100 * time.Millisecond},
			{"free", 9, []int{1}, 0},
			{"fast", 2, []int{1}, 50 * time.Millisecond}, // the app's limit
			{"fast", 1, []int{39, 0}, 0},                 // the two have been given back
			{"", 1, []int{0}, 50 * time.Millisecond},     // a key of the Pusher protocol
		} {
			found, token := apps.ByToken(c.token)
			if (found == nil) != (c.token == "") || found != nil && found != app {
				t.Fatalf("%s: %v", c.token, found)
			}
			quotas, err := g.Admit(app, token, c.n)
			var e *diaphone.Error
			if err != nil {
				e = err.(*diaphone.Error) //nolint:errorlint // exactly this
			}
			if (c.wait > 0) != (e != nil) || e != nil && (e.Code != diaphone.Limited || e.RetryAfter != c.wait) || len(quotas) != len(c.left) {
				t.Fatalf("%d: %+v, %v", i, quotas, err)
			}
			for j, q := range quotas {
				if q.Left != c.left[j] {
					t.Errorf("%d: %+v, want %d left", i, q, c.left[j])
				}
			}
		}
		if refused[LimitToken] != 2 || refused[LimitApp] != 2 {
			t.Errorf("counted %v", refused)
		}
	})
}
