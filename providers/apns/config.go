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

// Config is one APNs credential: a token-signing key or a certificate, for one
// environment and one bundle id.
type Config struct {
	KeyPEM diaphone.Secret // content of the .p8 file: PKCS #8 PEM of a P-256 key
	KeyID  string          // 10 characters, from the name of the .p8 file
	TeamID string          // 10 characters

	// Certificate is what can be given instead of a key: the content of a .p12 file,
	// or PEM of a certificate and its private key.
	Certificate         diaphone.Secret
	CertificatePassword diaphone.Secret // of the .p12 file, or of the key in the PEM; empty: none

	Topic       string // the app's bundle id; empty: that of the certificate
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

// identity is how APNs knows us: by the tokens of a signer, or by a certificate.
type identity struct {
	signer *signer // nil: the certificate
	pass   *pass   // nil: the signer
}

// identity checks the whole configuration. Its errors name the field and never
// repeat what is secret.
func (c *Config) identity() (id identity, err error) {
	if c.Environment != diaphone.Production && c.Environment != diaphone.Sandbox {
		return id, fmt.Errorf("the APNs environment is %q or %q", diaphone.Production, diaphone.Sandbox)
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		return id, fmt.Errorf("the APNs connections are 1 to %d, these are %d", maxConnections, c.Connections)
	}
	if _, err := c.address(); err != nil {
		return id, err
	}
	switch {
	case c.Certificate == "":
		id.signer, err = c.parseSigner()
	case c.KeyPEM != "" || c.KeyID != "" || c.TeamID != "":
		return id, errors.New("this APNs credential has a key and a certificate: give the key with its key id and team id, or the certificate, and make two credentials of it if both are wanted")
	default:
		id.pass, err = c.parsePass()
	}
	if err != nil {
		return id, err
	}
	if c.Topic == "" || len(c.Topic) > maxTopicSize || !every(c.Topic, isTopic) {
		return id, errors.New("the APNs topic is the app's bundle id, for example com.example.chat")
	}
	return id, nil
}

func (c *Config) parseSigner() (*signer, error) {
	for _, id := range []struct{ field, value string }{{"key id", c.KeyID}, {"team id", c.TeamID}} {
		if len(id.value) != identifierSize || !every(id.value, isAlphanumeric) {
			return nil, fmt.Errorf("the APNs %s has %d letters and digits, as Apple's developer site shows it", id.field, identifierSize)
		}
	}
	key, err := parseKey([]byte(c.KeyPEM.Reveal()))
	if err != nil {
		return nil, err
	}
	return &signer{key: key, keyID: c.KeyID, teamID: c.TeamID}, nil
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
