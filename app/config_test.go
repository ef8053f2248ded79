package app

import (
	"strings"
	"testing"
	"time"
)

// A slip of the pen deletes no fleet.
func TestDeviceRetention(t *testing.T) {
	for retention, fits := range map[time.Duration]bool{0: true, time.Hour: false, -time.Hour: false, 270: false, 720 * time.Hour: true, 6480 * time.Hour: true} {
		c := Config{Listen: "127.0.0.1:0", StopWithin: time.Second, Retention: 24 * time.Hour, DeviceRetention: retention}
		if err := c.Validate(); (err == nil) != fits || err != nil && !strings.Contains(err.Error(), "--device-retention "+retention.String()) {
			t.Errorf("%s: %v", retention, err)
		}
	}
}

// Draining ends before the stop does.
func TestDrainingIsShorterThanTheStop(t *testing.T) {
	for _, c := range []struct {
		drain, stop time.Duration
		fits        bool
	}{
		{0, time.Second, true},
		{0, 30 * time.Second, true},
		{29 * time.Second, 30 * time.Second, true},
		{30 * time.Second, 30 * time.Second, false},
		{time.Minute, 30 * time.Second, false},
		{time.Second, time.Second, false},
	} {
		config := Config{Listen: "127.0.0.1:0", DrainFor: c.drain, StopWithin: c.stop, Retention: 24 * time.Hour}
		err := config.Validate()
		if (err == nil) != c.fits {
			t.Errorf("%s of %s: %v", c.drain, c.stop, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "--drain-for "+c.drain.String()) || !strings.Contains(err.Error(), "--stop-within "+c.stop.String())) {
			t.Errorf("%s of %s: %v", c.drain, c.stop, err)
		}
	}
}
