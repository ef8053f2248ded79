package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/diaphone-dev/diaphone"
)

func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apps, err := NewApps([]diaphone.App{
			{ID: "20", Limits: diaphone.Limits{Publishes: 20}},
			{ID: "2", Limits: diaphone.Limits{Publishes: 2}},
			{ID: "free"},
		})
		if err != nil {
			t.Fatal(err)
		}
		g := New(Config{Apps: apps})
		start := time.Now()
		for i, c := range []struct {
			at    time.Duration
			app   diaphone.AppID
			n     int
			quota Quota
			wait  time.Duration
		}{
			{0, "20", 15, Quota{"publishes", 20, 5, 750 * time.Millisecond}, 0},
			{0, "20", 6, Quota{"publishes", 20, 5, 750 * time.Millisecond}, 50 * time.Millisecond}, // and none of the six
			{0, "20", 5, Quota{"publishes", 20, 0, time.Second}, 0},
			{0, "2", 10, Quota{"publishes", 2, 0, 5 * time.Second}, 0}, // a batch fits
			{0, "2", 1, Quota{"publishes", 2, 0, 5 * time.Second}, 500 * time.Millisecond},
			{0, "free", 1_000_000, Quota{}, 0},
			{time.Second, "20", 20, Quota{"publishes", 20, 0, time.Second}, 0},
			{time.Second, "2", 2, Quota{"publishes", 2, 0, 5 * time.Second}, 0},
		} {
			time.Sleep(time.Until(start.Add(c.at))) //nolint:forbidigo // of the bubble
			quotas, err := g.Admit(apps.ByID(c.app), nil, c.n)
			var q Quota
			if len(quotas) > 0 {
				q = quotas[0]
			}
			var e *diaphone.Error
			if c.wait == 0 && err != nil || c.wait > 0 && (!errors.As(err, &e) || e.Code != diaphone.Limited || e.RetryAfter != c.wait) || q != c.quota {
				t.Errorf("%d: %+v, %v; want %+v, wait %s", i, q, err, c.quota, c.wait)
			}
		}
	})
}

// A disabled key is nobody's, and nobody else's either.
func TestDisabledKeys(t *testing.T) {
	off := diaphone.Key{Key: "k", Secret: "s", Disabled: true}
	apps, err := NewApps([]diaphone.App{{ID: "1", Keys: []diaphone.Key{off}}})
	if err != nil || apps.ByKey("k") != nil {
		t.Errorf("%v, found %v", err, apps.ByKey("k"))
	}
	if _, err := NewApps([]diaphone.App{{ID: "1", Keys: []diaphone.Key{off}}, {ID: "2", Keys: []diaphone.Key{{Key: "k", Secret: "t"}}}}); err == nil {
		t.Error("two apps share a key")
	}
}
