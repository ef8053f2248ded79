package apns

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sideshow/apns2/certificate"

	"github.com/diaphone-dev/diaphone"
)

// What Apple writes into the certificates of push senders (Apple's "Worldwide
// Developer Relations Certification Practice Statement"). The bundle id is the
// subject's UID; a universal certificate lists what else it may send to.
var (
	attributeUID     = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	extensionSandbox = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	extensionLive    = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
	extensionTopics  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
)

// pass is a sender's certificate with what it is good for.
type pass struct {
	tls.Certificate
	bundle string   // the subject's UID
	topics []string // all that it may send to
}

// parsePass reads a .p12 or PEM file and checks that the certificate fits the
// credential. One that has expired passes: a gateway must not refuse to start,
// and all others' messages with it, because of one of its credentials.
func (c *Config) parsePass() (*pass, error) {
	p, err := readPass([]byte(c.Certificate.Reveal()), c.CertificatePassword)
	if err != nil {
		return nil, err
	}
	if c.Topic == "" {
		c.Topic = p.bundle
	}
	if !slices.Contains(p.topics, c.Topic) {
		return nil, fmt.Errorf("the APNs certificate is for %s, not for the topic %s: give the certificate of that app, or the topic of this one",
			strings.Join(p.topics, ", "), c.Topic)
	}
	sandbox, live := hasExtension(p.Leaf, extensionSandbox), hasExtension(p.Leaf, extensionLive)
	if c.Environment == diaphone.Sandbox && live && !sandbox || c.Environment == diaphone.Production && sandbox && !live {
		return nil, fmt.Errorf("the APNs certificate is not for the environment %s: give one that is, or change the environment", c.Environment)
	}
	return p, nil
}

// readPass finds the private key and its certificate. Its errors repeat nothing
// of the file.
func readPass(file []byte, password diaphone.Secret) (*pass, error) {
	read := certificate.FromP12Bytes
	if bytes.Contains(file, []byte("-----BEGIN ")) {
		read = certificate.FromPemBytes
	}
	pair, err := read(file, password.Reveal())
	switch {
	case errors.Is(err, certificate.ErrNoPrivateKey), errors.Is(err, certificate.ErrNoCertificate):
		return nil, fmt.Errorf("the file of the APNs certificate holds %w: it needs the certificate and its private key", err)
	case err != nil:
		return nil, errors.New("the APNs certificate cannot be read: its password is wrong, or it is neither PEM nor a .p12 as Keychain exports it; `openssl pkcs12 -in FILE.p12 -nodes -out FILE.pem` makes PEM of any")
	}
	if err := ownFirst(&pair); err != nil {
		return nil, err
	}
	p := &pass{Certificate: pair, bundle: uidOf(&pair.Leaf.Subject)}
	if p.bundle == "" {
		return nil, errors.New("the APNs certificate has no bundle id (UID) in its subject: it is none for push")
	}
	if p.topics = topicsOf(pair.Leaf); len(p.topics) == 0 {
		p.topics = []string{p.bundle}
	}
	return p, nil
}

// ownFirst puts the certificate of the private key before those of its issuers,
// as TLS wants them: exports have them in any order.
func ownFirst(pair *tls.Certificate) error {
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("the private key of the APNs certificate is of a kind that cannot sign")
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	for i, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return errors.New("the APNs certificate is damaged: download it again from Apple's developer site")
		}
		if ok && public.Equal(c.PublicKey) {
			pair.Certificate[0], pair.Certificate[i], pair.Leaf = der, pair.Certificate[0], c
			return nil
		}
	}
	return errors.New("the private key beside the APNs certificate belongs to another certificate")
}

func uidOf(subject *pkix.Name) string {
	for _, a := range subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(attributeUID) {
			return text
		}
	}
	return ""
}

// topicsOf reads Apple's list: topics, each with what it is for in a sequence
// behind it.
func topicsOf(c *x509.Certificate) (topics []string) {
	for _, e := range c.Extensions {
		var list []asn1.RawValue
		if !e.Id.Equal(extensionTopics) {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, &list); err != nil || len(rest) > 0 {
			continue // unreadable: the UID is what is sure
		}
		for _, v := range list {
			if v.Tag == asn1.TagUTF8String && len(v.Bytes) > 0 && every(string(v.Bytes), isTopic) {
				topics = append(topics, string(v.Bytes))
			}
		}
	}
	return topics
}

func hasExtension(c *x509.Certificate, id asn1.ObjectIdentifier) bool {
	return slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

// objection is the outcome of an attempt that need not be made with this
// certificate, or nil. To one that is out of date Apple would end the handshake
// without a word, as any fault of a network does; to a topic that it does not cover
// Apple would answer TopicDisallowed, which is otherwise the credential's fault and
// stops all that it sends.
func (p *pass) objection(h *headers, now time.Time) *diaphone.Outcome {
	o := &diaphone.Outcome{Verdict: diaphone.Denied}
	switch {
	case now.After(p.Leaf.NotAfter):
		o.Reason, o.Err = certificateExpired, fmt.Errorf("the APNs certificate has expired on %s: make a new one on Apple's developer site", p.Leaf.NotAfter.Format(time.DateOnly))
	case now.Before(p.Leaf.NotBefore):
		o.Reason, o.Err = certificateEarly, fmt.Errorf("the APNs certificate is good from %s on: check this machine's clock", p.Leaf.NotBefore.Format(time.DateTime))
	case !h.foreign && !slices.Contains(p.topics, h.topic):
		o.Verdict, o.Reason = diaphone.Refused, certificateElsewhere
		o.Err = fmt.Errorf("the APNs certificate does not cover pushes of type %s (topic %s): use a key (.p8) for them", h.pushType, h.topic)
	default:
		return nil
	}
	return o
}

// Reasons of ours, in lower case to be told from Apple's.
const (
	certificateExpired = "certificate_expired"
	certificateEarly   = "certificate_not_yet_valid"

	certificateElsewhere = "not_covered_by_certificate"
)
