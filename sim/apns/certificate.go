package apns

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/diaphone-dev/diaphone/sim/phone"
)

// What Apple writes into the certificates of senders: the bundle id as the
// subject's UID, an extension for each environment, and in universal certificates
// the list of topics ("Establishing a certificate-based connection to APNs").
var (
	AttributeUID     = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	ExtensionSandbox = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	ExtensionLive    = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
	ExtensionTopics  = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 6}
)

// certified gives what the certificate that a sender has shown is good for: nil
// when it has shown none, and the reason when it is not one of ours. A connection
// with a certificate needs no provider token.
func (s *Server) certified(tc *tls.Conn) (*Key, reason) {
	shown := tc.ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return nil, ""
	}
	leaf := shown[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: s.issuers, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil || s.issuers == nil { // nil would mean the system's
		return nil, badCertificate
	}
	k := &Key{exact: true, Topics: topicsOf(leaf)}
	for _, e := range leaf.Extensions {
		switch {
		case e.Id.Equal(ExtensionSandbox):
			k.Environments = append(k.Environments, phone.Sandbox)
		case e.Id.Equal(ExtensionLive):
			k.Environments = append(k.Environments, phone.Production)
		}
	}
	if len(k.Environments) == 0 || len(k.Topics) == 0 {
		return nil, badCertificate
	}
	return k, ""
}

// topicsOf reads the list of a universal certificate, in which each topic is
// followed by what it is for; others have their UID alone.
func topicsOf(c *x509.Certificate) []string {
	for _, e := range c.Extensions {
		var list []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &list); err != nil || !e.Id.Equal(ExtensionTopics) {
			continue
		}
		var topics []string
		for _, v := range list {
			if v.Tag == asn1.TagUTF8String {
				topics = append(topics, string(v.Bytes))
			}
		}
		return topics
	}
	return uidsOf(&c.Subject)
}

func uidsOf(subject *pkix.Name) (uids []string) {
	for _, a := range subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(AttributeUID) {
			uids = append(uids, text)
		}
	}
	return uids
}

// authoriseCertificate checks a request on a connection with a certificate. What
// its authorization header says is ignored, as APNs does.
func (c *conn) authoriseCertificate(r *request) (*Key, reason) {
	switch {
	case c.passWhy != "":
		return nil, c.passWhy
	case !c.pass.allows(r.environment(c.session.env)):
		return nil, badCertEnvironment
	}
	if r.topic == "" && len(c.pass.Topics) == 1 {
		r.topic = c.pass.Topics[0] // mandatory only where there is a choice
	}
	c.warm()
	return c.pass, ""
}
