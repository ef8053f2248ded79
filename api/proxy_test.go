package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/labstack/echo/v4"
)

// at asks a server with the trusted proxies 10.0.0.0/8 and ::1 how it sees a request
// from a peer.
func at(t *testing.T, peer string, headers map[string]string) string {
	t.Helper()
	e := echo.New()
	believe(e, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	e.GET("/", func(c echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprint(remoteOf(c), " ", IsSecure(c)))
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = peer
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w.Body.String()
}

func TestProxies(t *testing.T) {
	const xff, proto = "X-Forwarded-For", "X-Forwarded-Proto"
	for _, c := range []struct {
		peer    string
		headers map[string]string
		want    string
	}{
		{"192.0.2.1:1234", nil, "192.0.2.1:1234 false"},
		{"192.0.2.1:1234", map[string]string{xff: "203.0.113.9", proto: "https"}, "192.0.2.1:1234 false"},
		{"127.0.0.1:1234", map[string]string{xff: "203.0.113.9", proto: "https"}, "127.0.0.1:1234 false"}, // loopback is nobody special
		{"192.168.0.1:1234", map[string]string{xff: "203.0.113.9", proto: "https"}, "192.168.0.1:1234 false"},
		{"10.1.2.3:1234", nil, "10.1.2.3:1234 false"},
		{"10.1.2.3:1234", map[string]string{xff: "203.0.113.9", proto: "https"}, "203.0.113.9 true"},
		{"[::1]:1234", map[string]string{xff: "2001:db8::7", proto: "wss"}, "2001:db8::7 true"},
		{"10.1.2.3:1234", map[string]string{proto: "http"}, "10.1.2.3:1234 false"},
		// What stands before the last that is not ours may be an invention.
		{"10.1.2.3:1234", map[string]string{xff: "198.51.100.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9 false"},
		{"10.1.2.3:1234", map[string]string{xff: "198.51.100.1, no address"}, "10.1.2.3:1234 false"},
		{"10.1.2.3:1234", map[string]string{"X-Real-Ip": "203.0.113.9", "Forwarded": "for=203.0.113.9;proto=https"}, "10.1.2.3:1234 false"},
	} {
		if got := at(t, c.peer, c.headers); got != c.want {
			t.Errorf("from %s with %v: %s, want %s", c.peer, c.headers, got, c.want)
		}
	}
}

func TestUnderPrefix(t *testing.T) {
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.EscapedPath()) })
	for _, prefix := range []string{"/push", "/push/"} {
		h := UnderPrefix(prefix, seen)
		for path, want := range map[string]string{
			"/push/livez": "/livez", "/livez": "/livez", "/pushed": "/pushed", "/push": "/push",
			"/push/apps/1/channels/a%2Cb": "/apps/1/channels/a%2Cb", "/push/push/x": "/push/x", "/": "/",
		} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Body.String() != want {
				t.Errorf("%s: %s arrives as %s, want %s", prefix, path, w.Body, want)
			}
		}
	}
}

func TestQuickUnderPrefix(t *testing.T) {
	quick := QuickUnderPrefix("/push/", func(r *http.Request) bool { return r.URL.Path == "/app/k" })
	for path, want := range map[string]bool{
		"/push/app/k": true, "/app/k": true, "/push/push/app/k": false, "/pushapp/k": false, "/push": false,
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if got := quick(r); got != want || r.URL.Path != path {
			t.Errorf("%s: %v, and the request is for %s", path, got, r.URL.Path)
		}
	}
}
