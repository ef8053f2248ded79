package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// UnderPrefix answers under a path prefix such as "/push" as well as without it:
// for a proxy that hands the prefix on, for one that strips it, and for probes that
// come past the proxy. Handlers, and so signatures, never see the prefix.
func UnderPrefix(prefix string, h http.Handler) http.Handler {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return h
	}
	stripped := http.StripPrefix(prefix, h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.EscapedPath(), prefix+"/") {
			stripped.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// QuickUnderPrefix asks quick about a request as UnderPrefix would hand it on.
func QuickUnderPrefix(prefix string, quick func(*http.Request) bool) func(*http.Request) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return quick
	}
	return func(r *http.Request) bool {
		path, under := strings.CutPrefix(r.URL.Path, prefix)
		if !under || !strings.HasPrefix(path, "/") {
			return quick(r)
		}
		inner, url := *r, *r.URL
		url.Path, inner.URL = path, &url
		return quick(&inner)
	}
}

// believe has echo take from the headers of trusted proxies, and of nobody else,
// where a client is (X-Forwarded-For) and whether it came over TLS
// (X-Forwarded-Proto). Forwarded (RFC 7239) is not read: a proxy that sets the others
// hands it on as the client wrote it.
func believe(e *echo.Echo, proxies []netip.Prefix) {
	// echo trusts all private networks unless told not to.
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		trust = append(trust, echo.TrustIPRange(&net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	e.IPExtractor, e.SchemeExtractor = echo.ExtractIPFromXFFHeader(trust...), echo.ExtractSchemeFromHeaders(trust...)
}

// IsSecure tells whether the client came over TLS, to us or to a trusted proxy.
func IsSecure(c echo.Context) bool { return c.Scheme() == "https" || c.Scheme() == "wss" }

// remoteOf gives the client's address for the log, with its port when we know it.
func remoteOf(c echo.Context) string {
	peer := c.Request().RemoteAddr
	if host, _, err := net.SplitHostPort(peer); err == nil && host != c.RealIP() {
		return c.RealIP()
	}
	return peer
}
