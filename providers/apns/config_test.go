package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestBadConfigurationIsNamedNotQuoted(t *testing.T) {
	key := newKey(t)
	good := Config{
		KeyPEM: diaphone.Secret(key), KeyID: "ABCDE12345", TeamID: "TEAM123456",
		Topic: "com.example.chat", Environment: diaphone.Production,
	}
	p, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	const canary = "CANARY"
	for name, c := range map[string]struct {
		spoil func(*Config)
		field string
	}{
		"short key id":     {func(c *Config) { c.KeyID = canary }, "key id"},
		"strange key id":   {func(c *Config) { c.KeyID = canary + "\x00{}\"" }, "key id"},
		"no team id":       {func(c *Config) { c.TeamID = "" }, "team id"},
		"no topic":         {func(c *Config) { c.Topic = "" }, "topic"},
		"strange topic":    {func(c *Config) { c.Topic = canary + " /" }, "topic"},
		"no environment":   {func(c *Config) { c.Environment = "" }, "environment"},
		"strange host":     {func(c *Config) { c.Host = "https://" + canary + "/path" }, "host"},
		"plain http":       {func(c *Config) { c.Host = "http://" + canary }, "host"},
		"many connections": {func(c *Config) { c.Connections = 1000 }, "connections"},
		"no key":           {func(c *Config) { c.KeyPEM = "" }, "PEM"},
		"key is no PEM":    {func(c *Config) { c.KeyPEM = canary }, "PEM"},
		"key is cut":       {func(c *Config) { c.KeyPEM = diaphone.Secret(cut(key)) }, "PKCS #8"},
		"key on P-384":     {func(c *Config) { c.KeyPEM = diaphone.Secret(keyOn(t, elliptic.P384())) }, "P-256"},
	} {
		bad := good
		c.spoil(&bad)
		_, err := New(bad)
		if err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v, want %q in it", name, err, c.field)
			continue
		}
		for _, line := range append(strings.Split(key, "\n")[1:3], canary) {
			if strings.Contains(err.Error(), line) {
				t.Errorf("%s: content came out: %v", name, err)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		environment diaphone.Environment
		host, want  string
	}{
		{diaphone.Production, "", "api.push.apple.com:443"},
		{diaphone.Sandbox, "", "api.sandbox.push.apple.com:443"},
		{diaphone.Sandbox, "api.push.apple.com:2197", "api.push.apple.com:2197"},
		{diaphone.Sandbox, "https://127.0.0.1:6002", "127.0.0.1:6002"},
		{diaphone.Sandbox, "example.com", "example.com:443"},
	} {
		config := Config{Environment: c.environment, Host: c.host}
		if got, err := config.address(); err != nil || got != c.want {
			t.Errorf("%s %q: %s, %v", c.environment, c.host, got, err)
		}
	}
}

// cut keeps the PEM frame and half of what is in it.
func cut(key string) string {
	block, _ := pem.Decode([]byte(key))
	block.Bytes = block.Bytes[:len(block.Bytes)/2]
	return string(pem.EncodeToMemory(block))
}

func keyOn(t testing.TB, curve elliptic.Curve) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
