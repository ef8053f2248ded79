package app

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/diaphone-dev/diaphone/internal/egress"
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
	DrainFor        time.Duration  `help:"At a stop, spread the closing of sockets over this time." default:"10s"`
	StopWithin      time.Duration  `help:"At a stop, exit after this time whatever is unfinished; what is not recorded is done again after the next start." default:"30s"`
	Retention       time.Duration  `help:"Keep finished messages, their history and their idempotency keys this long." default:"168h"`
	EgressAllowCidr []netip.Prefix `help:"Ranges that webhooks may reach though they are not public; hosts in them are named by literal address or localhost, and may speak plain http." placeholder:"CIDR,…"`
	Poller          string         `help:"How sockets are waited for: epoll (Linux; elsewhere it means go) or go, a goroutine for each." enum:"epoll,go" default:"epoll"`
	LogLevel        string         `help:"Least level to log: debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
	LogFormat       string         `help:"text or json." enum:"text,json" default:"text"`
}

// minRetention covers the time for which an idempotency key is promised to work.
const minRetention = 24 * time.Hour

// Validate refuses values that make no sense, naming the flag.
func (c *Config) Validate() error {
	switch {
	case c.Listen == "":
		return fmt.Errorf("--listen is empty: give an address such as 127.0.0.1:6001")
	case c.DrainFor < 0:
		return fmt.Errorf("--drain-for %s: 0 or more", c.DrainFor)
	case c.StopWithin < time.Second:
		return fmt.Errorf("--stop-within %s: at least 1s", c.StopWithin)
	case c.Retention < minRetention:
		return fmt.Errorf("--retention %s: at least %s, because idempotency keys are promised to work that long", c.Retention, minRetention)
	}
	return nil
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
