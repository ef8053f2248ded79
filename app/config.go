package app

import (
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone/internal/egress"
	"github.com/diaphone-dev/diaphone/providers/webpush"
)

// Config is the whole configuration of a gateway process. The tags make each
// field a flag (--data-dir), an environment variable (DIAPHONE_DATA_DIR) and a
// key of the configuration file (data-dir) at once; help is the documentation.
// Tenants, keys and credentials are data, not configuration: they are in the
// apps file.
type Config struct {
	Apps            string         `help:"Apps file: tenants, their keys, tokens and push credentials." default:"apps.yaml" placeholder:"FILE"`
	DataDir         string         `help:"Folder of the store; created when missing." default:"data" placeholder:"DIR"`
	Listen          string         `help:"Address to listen on." default:"127.0.0.1:6001" placeholder:"ADDR"`
	TLSCert         string         `name:"tls-cert" help:"PEM file of a certificate and its chain: --listen then speaks TLS. Read again when it changes, and at SIGHUP." placeholder:"FILE"`
	TLSKey          string         `name:"tls-key" help:"PEM file of the certificate's key." placeholder:"FILE"`
	PathPrefix      string         `help:"Answer under this prefix, such as /push, as well as without it." placeholder:"PATH"`
	Proxies         []string       `name:"trusted-proxies" help:"Addresses or networks, such as 10.0.0.0/8, of proxies that are believed what X-Forwarded-For and X-Forwarded-Proto say; none unless given." placeholder:"CIDR"`
	DrainFor        time.Duration  `help:"At a stop, spread the closing of sockets over this time, for other nodes to take them. 0: close them together, last of all, for the next process to take them." default:"0s"`
	StopWithin      time.Duration  `help:"At a stop, exit after this time whatever is unfinished; what is not recorded is done again after the next start." default:"30s"`
	Retention       time.Duration  `help:"Keep finished messages, their history and their idempotency keys this long." default:"168h"`
	DeviceRetention time.Duration  `help:"Remove devices that have neither registered again nor changed otherwise for this long; FCM takes tokens for dead after 270 days. 0: keep them." default:"6480h"`
	Poller          string         `help:"How sockets are waited for: epoll (Linux; elsewhere it means go) or go, a goroutine for each." enum:"epoll,go" default:"epoll"`
	EgressAllowCidr []netip.Prefix `help:"Ranges that webhooks may reach though they are not public, and Web Push at the hosts that --push-hosts names; webhooks name hosts in them by literal address or localhost, and may speak plain http." placeholder:"CIDR,…"`
	PushHosts       []string       `help:"Hosts of push services that browsers may name besides those of Google, Mozilla, Apple and Microsoft; with all that is under them. A literal address or localhost must be in --egress-allow-cidr too, and may speak plain http." placeholder:"HOST,…"`
	FailedAuths     int            `help:"How often a minute one address (of IPv6 a /64) may fail to authenticate at the native API before it is told to wait. 0: no limit." default:"600"`
	LogLevel        string         `help:"Least level to log: debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat       string         `help:"text or json." enum:"text,json" default:"text"`
}

// minRetention covers the time for which an idempotency key is promised to work.
const minRetention = 24 * time.Hour

// minDeviceRetention keeps a slip of the pen from deleting a fleet.
const minDeviceRetention = 30 * 24 * time.Hour

// Validate refuses values that make no sense, naming the flag.
func (c *Config) Validate() error {
	switch {
	case c.Listen == "":
		return fmt.Errorf("--listen is empty: give an address such as 127.0.0.1:6001")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return fmt.Errorf("--tls-cert and --tls-key belong together: give both, or neither")
	case c.PathPrefix != "" && !pathPrefix.MatchString(c.PathPrefix):
		return fmt.Errorf("--path-prefix %q: a path such as /push, of letters, digits and -._~", c.PathPrefix)
	case c.DrainFor < 0:
		return fmt.Errorf("--drain-for %s: 0 or more", c.DrainFor)
	case c.StopWithin < time.Second:
		return fmt.Errorf("--stop-within %s: at least 1s", c.StopWithin)
	case c.DrainFor >= c.StopWithin:
		return fmt.Errorf("--drain-for %s has to be shorter than --stop-within %s, else the stop cuts off the sockets that are left", c.DrainFor, c.StopWithin)
	case c.FailedAuths < 0:
		return fmt.Errorf("--failed-auths %d: 0 or more", c.FailedAuths)
	case c.Retention < minRetention:
		return fmt.Errorf("--retention %s: at least %s, because idempotency keys are promised to work that long", c.Retention, minRetention)
	case c.DeviceRetention != 0 && c.DeviceRetention < minDeviceRetention:
		return fmt.Errorf("--device-retention %s: at least %s, or 0 to keep all: phones lie in drawers for weeks", c.DeviceRetention, minDeviceRetention)
	}
	for _, h := range c.PushHosts {
		if !isPushHost(h) {
			return fmt.Errorf("--push-hosts %q: a host's name in lower case, such as push.example.com, or a literal address such as 127.0.0.1 or ::1", h)
		}
	}
	_, err := c.trustedProxies()
	return err
}

// isPushHost tells whether a host may be named by --push-hosts: as it will be
// compared with those of URLs.
func isPushHost(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == "" && a.String() == h
	}
	return h != "" && !strings.ContainsAny(h, ":/@*? ") && h == strings.ToLower(h) && !strings.HasPrefix(h, ".")
}

// pathPrefix has no part that a client or a proxy would write in another way.
var pathPrefix = regexp.MustCompile(`\A(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?\z`)

// trustedProxies reads --trusted-proxies; an address is a network of its own.
func (c *Config) trustedProxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range c.Proxies {
		network, err := netip.ParsePrefix(text)
		if address, bad := netip.ParseAddr(text); bad == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies %q: an address such as 10.0.0.7 or a network such as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// SlogLevel gives LogLevel as a level; Info when it is none.
func (c *Config) SlogLevel() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.LogLevel)) // the flag's enum leaves nothing that could fail; the zero value is Info
	return l
}

// Egress gives the guard of all that goes out to where users say; refused is
// called for each request that it stops, nil: nobody counts.
func (c *Config) Egress(refused func()) *egress.Guard {
	return egress.New(egress.Config{Allow: c.EgressAllowCidr, Refused: refused})
}

// pushServices narrows the guard to where browsers' subscriptions may lead.
func (c *Config) pushServices(g *egress.Guard) *egress.Guard {
	return g.Only(slices.Concat(webpush.Hosts(), c.PushHosts)...)
}
