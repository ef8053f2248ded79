package egress

import "net/netip"

// The ranges of IPv4 that are nobody's on the internet (IANA's registry of
// special-purpose addresses, and multicast), or that a cloud keeps to itself.
var special4 = prefixes(
	"0.0.0.0/8",        // this network; Linux takes 0.0.0.0 for itself
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // shared by carriers' customers
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // Azure's host, which hands a machine its secrets
	"169.254.0.0/16",   // link-local, and the metadata of clouds
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays, gone
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, and broadcast
)

// global6 is all that has been given out of IPv6. Whatever is outside it (ULA,
// link-local, multicast, loopback) needs no name here.
var global6 = netip.MustParsePrefix("2000::/3")

// The exceptions inside of global6.
var special6 = prefixes(
	"2001::/23",     // protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32", // documentation
	"3fff::/20",     // documentation
)

// Forms of IPv6 that carry an address of IPv4, and end up there.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// isatap marks an interface identifier that carries an address of IPv4 (RFC 5214
// §6.1).
const isatap = 0x5efe

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}

// admits tells whether a connection to the address may be made.
func (g *Guard) admits(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return public(a) || within(g.allow, a)
}

// public tells whether the address is somebody's on the internet. Nothing that
// we do not know is public.
func public(a netip.Addr) bool {
	switch {
	case !a.IsValid():
		return false
	case a.Is4():
		return !within(special4, a)
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[2:6])))
	case int(b[10])<<8|int(b[11]) == isatap && b[8]&^0x02 == 0 && b[9] == 0:
		return false
	}
	return global6.Contains(a) && !within(special6, a)
}

func within(ranges []netip.Prefix, a netip.Addr) bool {
	for _, p := range ranges {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
