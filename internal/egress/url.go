package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// MaxURL is the most bytes that a URL may have.
const MaxURL = 2048

// Check tells what is wrong with a URL that somebody registers, and what would
// be right. It looks nothing up: whether the host's addresses are public is seen
// when a request is made. Its errors repeat nothing of the URL, whose path may be
// a secret.
func (g *Guard) Check(rawURL string) error {
	if len(rawURL) > MaxURL {
		return fmt.Errorf("the URL has %d bytes, the limit is %d", len(rawURL), MaxURL)
	}
	if strings.Contains(rawURL, "#") {
		return errors.New("the URL has a fragment, which is never sent: leave # and what follows out")
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return errors.New("the URL cannot be read: an absolute one is wanted, for example https://example.com/path")
	}
	return g.check(u)
}

func (g *Guard) check(u *url.URL) error {
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Opaque != "", u.Host == "":
		return errors.New("an absolute https URL is wanted, for example https://example.com/path")
	case u.User != nil:
		return errors.New("the URL has a user or a password in it: leave them out")
	case strings.HasSuffix(u.Host, ":"):
		return errors.New("the URL has a colon but no port behind its host: leave the colon out")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || p[0] == '0' {
			return errors.New("the URL's port is 1 to 65535")
		}
	}
	host := u.Hostname()
	if isLiteral(host) && g.hosts != nil && !slices.Contains(g.hosts, host) {
		return g.elsewhere() // though Allow has it: that may be for the sake of others
	}
	if g.own(host) {
		return nil // any port, and http too: these are the operator's own
	}
	if u.Scheme != "https" {
		return errors.New("the URL is http: use https; plain http is for literal addresses that --egress-allow-cidr lets through")
	}
	return g.checkHost(u)
}

// own tells whether the host is named by an address that the operator allows.
func (g *Guard) own(host string) bool {
	if host == "localhost" {
		return within(g.allow, loopback4) || within(g.allow, loopback6)
	}
	a, err := netip.ParseAddr(host)
	return err == nil && within(g.allow, a.Unmap().WithZone(""))
}

// isLiteral tells whether a host stands for an address without any DNS.
func isLiteral(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

var (
	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

func (g *Guard) checkHost(u *url.URL) error {
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		if !public(a.Unmap()) {
			return errors.New("the URL's host is an address that is not public; --egress-allow-cidr lets a range through")
		}
	} else if err := checkName(host); err != nil {
		return err
	}
	if g.hosts == nil {
		return nil
	}
	if p := u.Port(); p != "" && p != "443" {
		return errors.New("the URL's port is 443, which https has by itself: leave it out")
	}
	for _, h := range g.hosts {
		if host == h || strings.HasSuffix(host, "."+h) {
			return nil
		}
	}
	return g.elsewhere()
}

// elsewhere refuses what is at none of the hosts that Only has named.
func (g *Guard) elsewhere() error {
	return fmt.Errorf("the URL's host is none of those that are allowed: %s, and what is under them", strings.Join(g.hosts, ", "))
}

// checkName refuses what is no name of a host on the internet, above all what
// some resolver or other would read as an address: 127.1, 0x7f000001, 2130706433.
func checkName(host string) error {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return errors.New("the URL's host is this machine; --egress-allow-cidr 127.0.0.0/8 lets it through as localhost")
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || len(host) > 253 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return errors.New("the URL's host is a name in lower-case letters, digits, - and ., without a dot at its end; other scripts are written as xn--…")
		}
	}
	// As browsers have it (WHATWG URL, "ends in a number"): no top level does.
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return errors.New("the URL's host is neither a name nor an address in its usual form: write 192.0.2.1 or [2001:db8::1]")
	}
	return nil
}
