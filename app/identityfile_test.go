package app

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/internal/egress"
)

func TestIdentityKeysOfAnApp(t *testing.T) {
	dir := t.TempDir()
	write := func(name, kind string, der []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	write("ed.pem", "PUBLIC KEY", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(private)
	write("private.pem", "PRIVATE KEY", der, err)
	for name, curve := range map[string]elliptic.Curve{"p256.pem": elliptic.P256(), "p384.pem": elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		write(name, "PUBLIC KEY", der, err)
	}
	path := filepath.Join(dir, "apps.yaml")
	read := func(entries string) (*Tenants, error) {
		text := "apps:\n  - id: \"1\"\n    keys: [{ key: pair, secret: s }]\n    identity_keys:\n      - " + entries + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadApps(path, egress.New(egress.Config{}))
	}
	const secret = "canary-secret-of-32-bytes-and-more"
	tenants, err := read("{ id: a, algorithm: EdDSA, public_key_file: ed.pem }\n      - { id: b, algorithm: ES256, public_key_file: p256.pem }\n      - { id: c, algorithm: HS256, secret: " + secret + " }")
	if err != nil {
		t.Fatal(err)
	}
	defer tenants.Close()
	keys := tenants.Apps[0].IdentityKeys
	_, isP256 := keys[1].Public.(*ecdsa.PublicKey)
	if len(keys) != 3 || !public.Equal(keys[0].Public.(ed25519.PublicKey)) || !isP256 || keys[2].Secret != diaphone.Secret(secret) || keys[2].Algorithm != diaphone.HS256 {
		t.Errorf("%+v", keys)
	}
	for entry, says := range map[string]string{
		`{ id: a, algorithm: EdDSA, public_key_file: p256.pem }`:                      "identity_keys[0].public_key_file: p256.pem does not hold a key of EdDSA",
		`{ id: a, algorithm: ES256, public_key_file: ed.pem }`:                        "does not hold a key of ES256",
		`{ id: a, algorithm: ES256, public_key_file: p384.pem }`:                      "does not hold a key of ES256",
		`{ id: a, algorithm: EdDSA, public_key_file: private.pem }`:                   "no PEM file of a public key",
		`{ id: a, algorithm: EdDSA, public_key_file: apps.yaml }`:                     "openssl pkey",
		`{ id: a, algorithm: EdDSA }`:                                                 "public_key_file: missing",
		`{ id: a, algorithm: EdDSA, public_key_file: ed.pem, secret: ` + secret + `}`: "no secret",
		`{ id: a, algorithm: HS256, secret: too-short }`:                              "at least 32 bytes",
		`{ id: a, algorithm: HS256, public_key_file: ed.pem }`:                        "at least 32 bytes",
		`{ id: a, algorithm: none }`:                                                  "use EdDSA, ES256 or HS256",
		`{ id: a, algorithm: RS256, public_key_file: ed.pem }`:                        "use EdDSA, ES256 or HS256",
		`{ id: pair, algorithm: HS256, secret: ` + secret + ` }`:                      "a token could mean either",
		`{ algorithm: HS256, secret: ` + secret + ` }`:                                "identity_keys[0].id",
	} {
		if _, err := read(entry); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "too-short") {
			t.Errorf("%s: %v", entry, err)
		}
	}
}
