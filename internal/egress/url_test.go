package egress

import (
	"net/netip"
	"strings"
	"testing"
)

// What users have tried on others' gateways: each must be refused when it is
// registered. Those that only a dial can see through are in dial_test.go.
var tricks = []string{
	"", " ", "/", "//example.com", "example.com/hook", "https:", "https://", "https:///path", "https:/example.com/hook",
	"https:example.com", "https:\\\\example.com", "file:///etc/passwd", "gopher://example.com:70/_x", "ftp://example.com/",
	"unix:///var/run/docker.sock", "javascript:alert(1)", "data:text/plain,x", "http://example.com/hook", "HTTP://example.com/",
	"ws://example.com/",

	"https://127.0.0.1/", "https://127.0.0.1:6001/apps", "https://127.255.255.254/", "https://0.0.0.0/", "https://0.1.2.3/",
	"https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/", "https://100.64.0.1/",
	"https://100.127.255.255/", "https://169.254.169.254/latest/meta-data/", "https://192.0.0.192/", "https://192.0.2.7/",
	"https://198.18.0.1/", "https://198.51.100.3/", "https://203.0.113.9/", "https://224.0.0.1/", "https://240.0.0.1/",
	"https://255.255.255.255/",

	"https://[::]/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:ffff:a00:1]/",
	"https://[::127.0.0.1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/", "https://[fd12:3456::1]/",
	"https://[fec0::1]/", "https://[ff02::1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b::10.0.0.1]/", "https://[64:ff9b:1::a00:1]/",
	"https://[2002:7f00:1::]/", "https://[2002:c0a8:101::1]/", "https://[2001:0:1:2::3]/", "https://[2001:db8::1]/",
	"https://[2600::5efe:a00:1]/", "https://[2600::200:5efe:a00:1]/", "https://[100::1]/",

	"https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/",
	"https://0177.0.0.1/", "https://127.0.0.01/", "https://127.0.0.1./", "https://1.2.3.4.5/", "https://１２７.0.0.1/",
	"https://%31%32%37.0.0.1/", "https://127。0。0。1/", "https://①②⑦.0.0.1/",

	"https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://a.localhost/", "https://localhost:443/",
	"https://example.com./", "https://example..com/", "https://.example.com/", "https://EXAMPLE.com/", "https://exämple.com/",
	"https://exa mple.com/", "https://example.com\\@10.0.0.1/", "https://example.com\x00.evil.test/", "https://example.com\r\nHost: x/",
	"https://user@example.com/", "https://user:password@example.com/", "https://@example.com/", "https://example.com@10.0.0.1/",
	"https://example.com:/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:0443/", "https://example.com:-1/",
	"https://example.com:443:443/", "https://[::1/", "https://::1/", "https://[example.com]/", "https://example.com/#", "https://example.com/#x",
	"https://" + strings.Repeat("a", 64) + ".com/", "https://" + strings.Repeat("a.", 126) + "com/",
	"https://example.com/" + strings.Repeat("x", MaxURL),
}

func TestTricksAreRefused(t *testing.T) {
	g := New(Config{})
	for _, url := range tricks {
		err := g.Check(url)
		if err == nil {
			t.Errorf("%.80q was let through", url)
			continue
		}
		if text := err.Error(); len(text) < 20 || strings.Contains(text, "password") && strings.Contains(text, "user:") || strings.Contains(text, "meta-data") {
			t.Errorf("%.80q: %v", url, err)
		}
	}
}

func TestOrdinaryURLsPass(t *testing.T) {
	g := New(Config{})
	for _, url := range []string{
		"https://example.com", "https://example.com/", "https://hooks.example.com:8443/a/b?c=d%20e", "https://xn--exmple-cua.com/",
		"https://93.184.216.34/hook", "https://[2606:2800:220:1::1]/", "https://[64:ff9b::93.184.216.34]/", "https://[2002:5db8:d822::1]/",
		"HTTPS://example.com/", "https://a_b.example.com/", "https://gateway/", "https://3com.example.com/", "https://7.example/",
		"https://fcm.googleapis.com/fcm/send/c1KrmpTuRm8:APA91bGxy_%2B",
	} {
		if err := g.Check(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestAllowedRanges(t *testing.T) {
	g := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("fd00:1::/32")}})
	for _, url := range []string{
		"http://127.0.0.1:6010/hook", "https://127.9.9.9/", "http://localhost:3000/", "https://localhost/",
		"http://[::ffff:127.0.0.1]/", "http://[fd00:1::5]:80/x",
	} {
		if err := g.Check(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{
		"http://10.0.0.1/", "http://example.com/", "http://93.184.216.34/", "http://[fd00:2::5]/", "http://127.1/", "http://0.0.0.0/",
		"http://a.localhost/", "http://user@127.0.0.1/", "http://127.0.0.1/#x", "http://127.0.0.1:/",
	} {
		if g.Check(url) == nil {
			t.Errorf("%s was let through", url)
		}
	}
}

func TestOnly(t *testing.T) {
	open := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	g := open.Only("push.example.com", "push.apple.com", "127.0.0.2", "::1", "93.184.216.34")
	for url, ok := range map[string]bool{
		"https://push.example.com/x": true, "https://a.push.example.com:443/x": true, "https://web.push.apple.com/x": true,
		"http://127.0.0.2:6010/x": true, "https://127.0.0.2/x": true, "https://93.184.216.34/x": true,
		// What is allowed for others' sake is not where these requests may go, and who is
		// named is not allowed by that.
		"http://127.0.0.1:6010/x": false, "https://127.0.0.1/x": false, "http://localhost:1/x": false, "https://localhost/x": false,
		"http://[::1]:6010/x": false, "https://[::1]/x": false, "http://93.184.216.34/x": false, "https://93.184.216.34:8443/x": false,
		"http://[::ffff:127.0.0.1]/x": false, "http://a.127.0.0.2/x": false,
		"https://example.com/x": false, "https://evilpush.example.com/x": false, "https://push.example.com.evil.test/x": false,
		"https://push.example.com:8443/x": false, "http://push.example.com/x": false, "https://93.184.216.35/x": false,
	} {
		if err := g.Check(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := open.Only("localhost").Check("http://localhost:3000/x"); err != nil {
		t.Errorf("localhost is named: %v", err)
	}
	if err := open.Check("https://example.com:8443/"); err != nil {
		t.Errorf("the guard that it was made from has become narrow too: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, url := range tricks {
		f.Add(url)
	}
	g := New(Config{})
	f.Fuzz(func(t *testing.T, url string) {
		if g.Check(url) == nil && !strings.HasPrefix(strings.ToLower(url), "https://") {
			t.Errorf("%q was let through", url)
		}
	})
}
