package app

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/providers"
)

// as finds the check whose detail has the text.
func as(all []Check, part string) Check {
	for _, c := range all {
		if strings.Contains(c.Detail, part) {
			return c
		}
	}
	return Check{}
}

func TestDoctorOnSettings(t *testing.T) {
	network := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
		grade  providers.Grade
	}{
		"all well":                  {func(*Config) {}, "public addresses only", providers.Sound},
		"what serve refuses":        {func(c *Config) { c.StopWithin = 0 }, "--stop-within", providers.Faulty},
		"a proxy is everybody":      {func(c *Config) { c.Proxies = []string{"0.0.0.0/0"} }, "believes everybody", providers.Doubtful},
		"open and plain":            {func(c *Config) { c.Listen = "0.0.0.0:6001" }, "plain HTTP", providers.Doubtful},
		"open, by no address":       {func(c *Config) { c.Listen = ":6001" }, "plain HTTP", providers.Doubtful},
		"a private range":           {func(c *Config) { c.EgressAllowCidr = network("10.1.0.0/16") }, "10.1.0.0/16", providers.Sound},
		"this machine":              {func(c *Config) { c.EgressAllowCidr = network("127.0.0.0/8") }, "this machine itself", providers.Doubtful},
		"the cloud's metadata":      {func(c *Config) { c.EgressAllowCidr = network("169.254.0.0/16") }, "metadata", providers.Doubtful},
		"everything":                {func(c *Config) { c.EgressAllowCidr = network("0.0.0.0/0") }, "metadata", providers.Doubtful},
		"more hosts of browsers'":   {func(c *Config) { c.PushHosts = []string{"push.example.com"} }, "push.example.com", providers.Sound},
		"behind a proxy, and plain": {func(c *Config) { c.Listen, c.Proxies = "10.0.0.1:6001", []string{"10.0.0.7"} }, "public addresses only", providers.Sound},
	} {
		d := Doctor{Config: Config{Listen: "127.0.0.1:6001", StopWithin: time.Second, Retention: 24 * time.Hour}}
		c.change(&d.Config)
		all := d.settings()
		if got := as(all, c.says); got.Grade != c.grade || (got.Advice == "") != (c.grade == providers.Sound) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func TestDoctorOnClocks(t *testing.T) {
	at := func(d time.Duration) found { return found{Finding: providers.Finding{Clocked: true, Ahead: d}} }
	for name, c := range map[string]struct {
		findings []found
		grade    providers.Grade
		says     string
	}{
		"nobody tells":  {[]found{{}}, providers.Sound, "not compared"},
		"near":          {[]found{at(-2 * time.Second), at(time.Second)}, providers.Sound, "within 30s"},
		"a minute late": {[]found{at(0), at(time.Minute)}, providers.Doubtful, "1m0s behind"},
		"an hour early": {[]found{at(-time.Hour), at(0)}, providers.Faulty, "1h0m0s ahead"},
	} {
		if got := clock(c.findings); got.Grade != c.grade || !strings.Contains(got.Detail, c.says) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDoctorOnExpiry(t *testing.T) {
	day := 24 * time.Hour
	for left, want := range map[time.Duration]providers.Grade{10 * day: providers.Doubtful, 40 * day: providers.Sound} {
		f := found{Finding: providers.Finding{Grade: providers.Sound, Detail: "x", Expires: time.Now().Add(left)}}
		if c := f.check(); c.Grade != want || c.Expires == nil || !strings.Contains(c.Detail, "until") {
			t.Errorf("%s left: %+v", left, c)
		}
	}
	f := found{Finding: providers.Finding{Grade: providers.Faulty, Detail: "x", Advice: "y", Expires: time.Now().Add(-day)}}
	if c := f.check(); c.Grade != providers.Faulty || c.Advice != "y" {
		t.Errorf("expired: %+v", c)
	}
}

func TestDoctorOnTheFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	put(t, file, "x")
	look := func(dir string) []Check { return (&Doctor{Config: Config{DataDir: dir}}).folder() }
	if c := as(look(dir), "can be written to"); c.Grade != providers.Sound {
		t.Errorf("%+v", look(dir))
	}
	if c := as(look(filepath.Join(dir, "none")), "not there yet"); c.Grade != providers.Sound {
		t.Errorf("%+v", c)
	}
	if c := as(look(file), "is not a folder"); c.Grade != providers.Faulty {
		t.Errorf("%+v", c)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if c := as(look(dir), "mode 0755"); c.Grade != providers.Doubtful || !strings.Contains(c.Advice, "chmod") {
		t.Errorf("%+v", look(dir))
	}
	left, err := filepath.Glob(filepath.Join(dir, ".doctor*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDoctorOnThePort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := Doctor{Config: Config{DataDir: t.TempDir(), Listen: l.Addr().String()}}
	if c := d.port(t.Context()); c.Grade != providers.Faulty || !strings.Contains(c.Detail, "is taken, and not by the gateway") {
		t.Errorf("%+v", c)
	}
	socket, err := listenSocket(SocketPath(d.DataDir))
	if err != nil {
		t.Fatal(err)
	}
	if c := d.port(t.Context()); c.Grade != providers.Sound || !strings.Contains(c.Detail, "the gateway runs") {
		t.Errorf("%+v", c)
	}
	_ = l.Close()
	if c := d.port(t.Context()); c.Grade != providers.Sound || !strings.Contains(c.Detail, "another --listen") {
		t.Errorf("%+v", c)
	}
	_ = socket.Close() // as a kill leaves it: the file stays
	if c := d.port(t.Context()); c.Grade != providers.Sound || !strings.Contains(c.Detail, "does not run") {
		t.Errorf("%+v", c)
	}
	d.Listen = "192.0.2.1:6001"
	if c := d.port(t.Context()); c.Grade != providers.Faulty || !strings.Contains(c.Detail, "cannot listen") {
		t.Errorf("%+v", c)
	}
}

func TestDoctorOnTLS(t *testing.T) {
	s := newShelf(t)
	d := Doctor{Config: s.c}
	for left, want := range map[time.Duration]providers.Grade{-time.Hour: providers.Faulty, 240 * time.Hour: providers.Doubtful, 2400 * time.Hour: providers.Sound} {
		s.put(pair(t, "push.diaphone.dev", time.Now().Add(left)))
		if all := d.tls(); len(all) != 1 || all[0].Grade != want || all[0].Expires == nil {
			t.Errorf("%s left: %+v", left, all)
		}
	}
	s.put([]byte("x"), []byte("y"))
	if all := d.tls(); len(all) != 1 || all[0].Grade != providers.Faulty {
		t.Errorf("%+v", all)
	}
	if all := (&Doctor{}).tls(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}
