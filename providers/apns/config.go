package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/sideshow/apns2"

	"github.com/diaphone-dev/diaphone"
)

// Config is one APNs credential: a token-signing key for one environment and
// one bundle id.
type Config struct {
	KeyPEM      diaphone.Secret // content of the .p8 file: PKCS #8 PEM of a P-256 key
	KeyID       string          // 10 characters, from the name of the .p8 file
	TeamID      string          // 10 characters
	Topic       string          // the app's bundle id
	Environment diaphone.Environment

	// Host overrides the environment's host, for a simulator or for port 2197:
	// "host" or "host:port", with or without "https://".
	Host string
	// RootCAs verify the server; nil: the system's. Apple's chain has ended in a
	// public root since 2025, so that pinning one only breaks.
	RootCAs *x509.CertPool
	// Connections is how many the pool keeps; 0: 2, one in use and a warm spare.
	Connections int
}

const (
	defaultConnections = 2
	maxConnections     = 64
	identifierSize     = 10 // of key and team ids
	maxTopicSize       = 255
)

// parse checks the whole configuration. Its errors name the field and never
// repeat what is in it.
func (c *Config) parse() (*ecdsa.PrivateKey, error) {
	for _, id := range []struct{ field, value string }{{"key id", c.KeyID}, {"team id", c.TeamID}} {
		if len(id.value) != identifierSize || !every(id.value, isAlphanumeric) {
			return nil, fmt.Errorf("the APNs %s has %d letters and digits, as Apple's developer site shows it", id.field, identifierSize)
		}
	}
	if c.Topic == "" || len(c.Topic) > maxTopicSize || !every(c.Topic, isTopic) {
		return nil, errors.New("the APNs topic is the app's bundle id, for example com.example.chat")
	}
	if c.Environment != diaphone.Production && c.Environment != diaphone.Sandbox {
		return nil, fmt.Errorf("the APNs environment is %q or %q", diaphone.Production, diaphone.Sandbox)
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		return nil, fmt.Errorf("the APNs connections are 1 to %d, these are %d", maxConnections, c.Connections)
	}
	if _, err := c.address(); err != nil {
		return nil, err
	}
	return parseKey([]byte(c.KeyPEM.Reveal()))
}

// address gives host:port.
func (c *Config) address() (string, error) {
	host := c.Host
	if host == "" {
		host = apns2.HostProduction
		if c.Environment == diaphone.Sandbox {
			host = apns2.HostDevelopment
		}
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
	if strings.ContainsAny(host, "/@?# ") {
		return "", errors.New("the APNs host is host or host:port; APNs speaks https only")
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "443")
	}
	return host, nil
}

func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the APNs key is not PEM: use the .p8 file as Apple gave it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the APNs key is not PKCS #8: use the .p8 file as Apple gave it")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the APNs key is not an ECDSA key on P-256")
	}
	return key, nil
}

func every(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isTopic(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' }

func isLowerHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
