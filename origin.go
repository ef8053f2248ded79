package diaphone

import (
	"net/url"
	"strings"
)

// Origin is a web origin (RFC 6454 §6.2) such as "https://example.com:8443". A
// host that begins with "*." stands for every host below it, not for itself.
type Origin string

// Validate refuses what is no origin: a path, a missing scheme, a star elsewhere.
func (o Origin) Validate() error {
	u, err := url.Parse(string(o))
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != string(o) {
		return Errorf(Invalid, "origin %q: use scheme and host, such as https://example.com", clip(string(o)))
	}
	if strings.Contains(strings.TrimPrefix(u.Host, "*."), "*") {
		return Errorf(Invalid, "origin %q: a star may only stand for whole names in front, as in https://*.example.com", clip(string(o)))
	}
	return nil
}

// covers compares as browsers write origins: in lower case, the port left out
// when it is the scheme's own.
func (o Origin) covers(origin string) bool {
	pattern := strings.ToLower(string(o))
	scheme, host, _ := strings.Cut(pattern, "://*.")
	if host == "" {
		return pattern == origin
	}
	below, ok := strings.CutPrefix(origin, scheme+"://")
	return ok && strings.HasSuffix(below, "."+host) && len(below) > len(host)+1
}

// Admits tells whether a request with this Origin header may connect. A browser
// always sends one, and so no page of a stranger gets past the list; whoever is
// no browser may send what it likes or nothing, so nothing is let pass.
func (s *ChannelSettings) Admits(origin string) bool {
	if len(s.Origins) == 0 || origin == "" {
		return true
	}
	origin = strings.ToLower(origin)
	for _, o := range s.Origins {
		if o.covers(origin) {
			return true
		}
	}
	return false
}
