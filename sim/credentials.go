package sim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The identity that the simulators give to whoever uses them. Apple's key and
// team ids are 10 characters.
const (
	keyID     = "SIMKEY0001"
	teamID    = "SIMTEAM001"
	topic     = "dev.diaphone.demo"
	projectID = "diaphone-sim"

	caFile      = "ca.pem"
	caKeyFile   = "ca-key.pem"
	apnsKeyFile = "AuthKey_" + keyID + ".p8"
	accountFile = "fcm-service-account.json"

	certificateFile = "apns-certificate.pem"

	vapidKeyFile = "vapid.pem"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 397 * 24 * time.Hour // the longest that clients accept
	rsaBits      = 2048
	backdate     = time.Hour // for clients whose clock is late
)

// Credentials is what a sender needs to be let in: files in the simulator's
// folder and the ids that go with them.
type Credentials struct {
	CAFile      string // certificate to trust, PEM
	APNsKeyFile string // .p8

	// APNsCertificateFile is another way in than the key: PEM of a certificate for
	// Topic, and for calls to it, in both environments, and of its private key.
	APNsCertificateFile string

	KeyID              string
	TeamID             string
	Topic              string
	ServiceAccountFile string // JSON, as Google issues it
	ProjectID          string
	VAPIDKeyFile       string // PEM; the simulated browsers have subscribed with this key
	VAPIDPublicKey     string // base64url
}

// secrets are the private halves, which only the simulators and their folder
// hold.
type secrets struct {
	ca      *x509.Certificate
	caKey   crypto.Signer
	apns    *ecdsa.PrivateKey
	account *rsa.PrivateKey
	vapid   *ecdsa.PrivateKey
}

// publicKey writes the public half as pages subscribe with it.
func publicKey(key *ecdsa.PrivateKey) (string, error) {
	point, err := key.PublicKey.Bytes()
	return base64.RawURLEncoding.EncodeToString(point), err
}

// loadSecrets reads the credentials in dir and creates those that are missing.
func loadSecrets(dir string) (*secrets, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder for simulated credentials: %w", err)
	}
	var s secrets
	var err error
	if s.apns, err = loadKey(filepath.Join(dir, apnsKeyFile), newP256); err != nil {
		return nil, err
	}
	if s.vapid, err = loadKey(filepath.Join(dir, vapidKeyFile), newP256); err != nil {
		return nil, err
	}
	if s.account, err = loadAccountKey(filepath.Join(dir, accountFile)); err != nil {
		return nil, err
	}
	caKey, err := loadKey(filepath.Join(dir, caKeyFile), newP256)
	if err != nil {
		return nil, err
	}
	s.caKey = caKey
	if s.ca, err = loadCA(filepath.Join(dir, caFile), caKey); err != nil {
		return nil, err
	}
	return &s, nil
}

func newP256() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// loadKey reads a PKCS#8 PEM file, or creates it with a new key.
func loadKey[K crypto.Signer](path string, create func() (K, error)) (K, error) {
	var none K
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := create()
		if err != nil {
			return none, err
		}
		text, err := encodeKey(key)
		if err != nil {
			return none, err
		}
		return key, writeFile(path, text, 0o600)
	}
	if err != nil {
		return none, err
	}
	return decodeKey[K](path, raw)
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func decodeKey[K crypto.Signer](path string, raw []byte) (K, error) {
	var none K
	block, _ := pem.Decode(raw)
	if block == nil {
		return none, fmt.Errorf("%s holds no PEM key; remove the file to get a new one", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return none, fmt.Errorf("%s: %w; remove the file to get a new one", path, err)
	}
	key, ok := parsed.(K)
	if !ok {
		return none, fmt.Errorf("%s holds a %T, not a %T; remove the file to get a new one", path, parsed, none)
	}
	return key, nil
}

// loadCA returns the certificate in path if it belongs to key and lasts, or a
// new one.
func loadCA(path string, key crypto.Signer) (*x509.Certificate, error) {
	if raw, err := os.ReadFile(path); err == nil {
		if ca := parseCA(raw, key); ca != nil {
			return ca, nil
		}
	}
	template := certificate("Diaphone simulators CA", caLifetime)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := writeFile(path, text, 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func parseCA(raw []byte, key crypto.Signer) *x509.Certificate {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || time.Until(ca.NotAfter) < leafLifetime {
		return nil
	}
	public, ok := ca.PublicKey.(*ecdsa.PublicKey)
	if !ok || !public.Equal(key.Public()) {
		return nil
	}
	return ca
}

func certificate(name string, lifetime time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails since Go 1.24
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(lifetime - backdate),
	}
}

// serverCertificate issues the certificate of this run. It is also good for the
// vendors' names, so that a client which cannot be told another host may be led
// here by its resolver or proxy.
func (s *secrets) serverCertificate() (tls.Certificate, error) {
	key, err := newP256()
	if err != nil {
		return tls.Certificate{}, err
	}
	template := certificate("localhost", leafLifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.DNSNames = []string{
		"localhost", "api.push.apple.com", "api.sandbox.push.apple.com", "api.development.push.apple.com",
		"fcm.googleapis.com", "oauth2.googleapis.com", "www.googleapis.com",
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, key.Public(), s.caKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der, s.ca.Raw}, PrivateKey: key}, nil
}

// account is a service-account file with the fields that Google puts into one.
type account struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	ClientID     string `json:"client_id"`
	AuthURI      string `json:"auth_uri"`
	TokenURI     string `json:"token_uri"`
}

// loadAccountKey returns the key of the service-account file, or a new one. The
// file itself is written by writeAccount.
func loadAccountKey(path string) (*rsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return nil, err
	}
	var a account
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("%s: %w; remove the file to get a new one", path, err)
	}
	return decodeKey[*rsa.PrivateKey](path, []byte(a.PrivateKey))
}

// writeAccount writes the service-account file if it does not say the same yet,
// and returns what it says.
func (s *secrets) writeAccount(path, tokenURI string) (account, error) {
	key, err := encodeKey(s.account)
	if err != nil {
		return account{}, err
	}
	public := sha256.Sum256(x509.MarshalPKCS1PublicKey(&s.account.PublicKey))
	a := account{
		Type: "service_account", ProjectID: projectID,
		PrivateKeyID: hex.EncodeToString(public[:20]), PrivateKey: string(key),
		ClientEmail: "firebase-adminsdk@" + projectID + ".iam.gserviceaccount.com",
		ClientID:    "100000000000000000001",
		AuthURI:     "https://accounts.google.com/o/oauth2/auth",
		TokenURI:    tokenURI,
	}
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return account{}, err
	}
	text = append(text, '\n')
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) {
		return a, nil
	}
	return a, writeFile(path, text, 0o600)
}

// writeFile replaces a file as a whole, so that a reader never sees half of it.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
