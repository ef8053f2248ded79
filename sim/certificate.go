package sim

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"time"

	"github.com/diaphone-dev/diaphone/sim/apns"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

// Issue is what a sender's certificate is to say.
type Issue struct {
	BundleID     string   // the subject's UID
	Topics       []string // of a universal certificate; none: the bundle id alone
	Environments []phone.Environment
	NotBefore    time.Time
	NotAfter     time.Time
}

// issuers are those of the certificates that senders may show.
func (s *secrets) issuers() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	return pool
}

// writeCertificate issues the sender's certificate, unless one is there that
// lasts and is of the present CA.
func (s *secrets) writeCertificate(path string) error {
	if text, err := os.ReadFile(path); err == nil && s.lasts(text) {
		return nil
	}
	now := time.Now()
	text, err := s.issue(Issue{
		BundleID: topic, Topics: []string{topic, topic + ".voip"}, Environments: []phone.Environment{phone.Sandbox, phone.Production},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLifetime - backdate),
	})
	if err != nil {
		return err
	}
	return writeFile(path, text, 0o600)
}

func (s *secrets) lasts(text []byte) bool {
	pair, err := tls.X509KeyPair(text, text)
	return err == nil && pair.Leaf.CheckSignatureFrom(s.ca) == nil && time.Until(pair.Leaf.NotAfter) > leafLifetime/2
}

// issue makes a certificate as Apple does, and gives it and its key as PEM.
func (s *secrets) issue(i Issue) ([]byte, error) {
	key, err := newP256()
	if err != nil {
		return nil, err
	}
	template := certificate("Apple Push Services: "+i.BundleID, leafLifetime)
	template.NotBefore, template.NotAfter = i.NotBefore, i.NotAfter
	template.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: apns.AttributeUID, Value: i.BundleID}}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, env := range i.Environments {
		id := apns.ExtensionLive
		if env == phone.Sandbox {
			id = apns.ExtensionSandbox
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: id, Value: asn1.NullBytes})
	}
	if len(i.Topics) > 0 {
		list, err := topicList(i.Topics)
		if err != nil {
			return nil, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: apns.ExtensionTopics, Value: list})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, key.Public(), s.caKey)
	if err != nil {
		return nil, err
	}
	private, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), private}, nil), nil
}

// topicList is the list in a universal certificate: each topic, then a sequence of
// what it is for.
func topicList(topics []string) ([]byte, error) {
	var list []asn1.RawValue
	for _, t := range topics {
		purpose, err := asn1.Marshal([]asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte("app")}})
		if err != nil {
			return nil, err
		}
		list = append(list, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(t)}, asn1.RawValue{FullBytes: purpose})
	}
	return asn1.Marshal(list)
}

// Certify issues a certificate that the simulated APNs knows, for tests of what it
// and its senders make of one, as PEM with its private key.
func (s *Sim) Certify(i Issue) ([]byte, error) { return s.secrets.issue(i) }
