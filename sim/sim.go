// Package sim is the vendors' side of the wire: faithful simulators of APNs, FCM
// and a push service of browsers, with phones that have a life and a plan of what goes wrong. It is what a
// sender is tested and tried against, so it imports nothing of the senders it
// judges.
//
// One Sim serves everything on every listener: the first byte of a connection
// tells TLS, which is APNs, from plain HTTP, which is FCM, its OAuth token
// endpoint, Web Push and the control API under /sim.
package sim

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"

	"github.com/diaphone-dev/diaphone/sim/apns"
	"github.com/diaphone-dev/diaphone/sim/control"
	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/fcm"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/sim/stats"
	"github.com/diaphone-dev/diaphone/sim/webpush"
)

// Options are all that can be said about a Sim. Address is required, the rest
// has defaults.
type Options struct {
	// Address is the host:port at which clients reach the Sim, usually
	// listener.Addr().String(). It goes into the service-account file.
	Address string

	// SandboxAddress is the address of a listener that stands for APNs' sandbox.
	// On all others the environment is production, unless a request names one of
	// Apple's hosts.
	SandboxAddress string

	Topics          []string            // bundle ids besides dev.diaphone.demo
	Projects        []string            // Firebase projects phones may belong to, besides diaphone-sim
	KeyEnvironments []phone.Environment // what the APNs key is good for; empty: both
	Keys            []apns.Key          // APNs keys besides SIMKEY0001
	MaxStreams      int                 // of an APNs connection, default 1000
	InboxEntries    int                 // default 256k
	InboxBytes      int                 // default 256 MB
}

// Sim is the simulators, their phones and the control API over them.
type Sim struct {
	secrets     *secrets
	credentials Credentials
	sandbox     string
	tls         *tls.Config

	fleet   *phone.Fleet
	faults  *fault.Plan
	apns    *apns.Server
	push    *webpush.Server
	meter   stats.Meter // of FCM
	handler http.Handler

	served atomic.Bool
}

// New prepares a Sim. It reads its credentials from dir, creating the folder and
// whatever is missing in it; a private key that is there is kept. It starts no
// goroutine.
func New(dir string, o Options) (*Sim, error) {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return nil, fmt.Errorf("sim: Options.Address must be the host:port that clients reach: %w", err)
	}
	keys, err := loadSecrets(dir)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	leaf, err := keys.serverCertificate()
	if err != nil {
		return nil, fmt.Errorf("sim: issue the server certificate: %w", err)
	}
	if err := keys.writeCertificate(filepath.Join(dir, certificateFile)); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	account, err := keys.writeAccount(filepath.Join(dir, accountFile), "http://"+o.Address+"/token")
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	vapid, err := publicKey(keys.vapid)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	s := &Sim{
		secrets: keys,
		credentials: Credentials{
			CAFile: filepath.Join(dir, caFile), APNsKeyFile: filepath.Join(dir, apnsKeyFile),
			APNsCertificateFile: filepath.Join(dir, certificateFile),
			KeyID:               keyID, TeamID: teamID, Topic: topic,
			ServiceAccountFile: filepath.Join(dir, accountFile), ProjectID: projectID,
			VAPIDKeyFile: filepath.Join(dir, vapidKeyFile), VAPIDPublicKey: vapid,
		},
		sandbox: o.SandboxAddress,
		tls: &tls.Config{
			Certificates: []tls.Certificate{leaf},
			ClientAuth:   tls.RequestClientCert, // who shows one is judged by it
			MinVersion:   tls.VersionTLS12,      // Apple's page "Sending notification requests to APNs"
			NextProtos:   []string{protoH2, protoHTTP1},
		},
		fleet:  phone.NewFleet(phone.NewInbox(o.InboxEntries, o.InboxBytes)),
		faults: &fault.Plan{},
	}
	topics := append([]string{topic}, o.Topics...)
	projects := append([]string{projectID}, o.Projects...)
	apnsMeter := &stats.Meter{}
	s.apns = apns.New(apns.Options{
		Keys: append([]apns.Key{{
			ID: keyID, TeamID: teamID, Public: &keys.apns.PublicKey,
			Environments: o.KeyEnvironments, Topics: topics,
		}}, o.Keys...),
		Issuers:    keys.issuers(),
		MaxStreams: o.MaxStreams, Fleet: s.fleet, Faults: s.faults, Meter: apnsMeter,
	})
	google := s.newFCM(account, keys.account)
	pushMeter := &stats.Meter{}
	s.push = webpush.New(webpush.Options{Address: o.Address, Fleet: s.fleet, Faults: s.faults, Meter: pushMeter})
	mux := http.NewServeMux()
	mux.Handle("POST /token", google.Token())
	mux.Handle("POST /oauth2/v4/token", google.Token()) // what Google's Node libraries have built in
	mux.Handle("/v1/projects/", google)
	mux.HandleFunc(webpush.PushPath, s.push.Push)
	mux.HandleFunc("GET "+webpush.SocketPath, s.push.Socket)
	mux.Handle("/sim/", control.New(control.Options{
		Fleet: s.fleet, Faults: s.faults, Topics: topics, Projects: projects,
		VAPIDKey: vapid, Endpoint: s.push.Endpoint,
		Meters: map[string]*stats.Meter{fault.APNs: apnsMeter, fault.FCM: &s.meter, fault.WebPush: pushMeter},
		Check: map[string]control.CheckFault{
			fault.APNs: apns.CheckFault, fault.FCM: fcm.CheckFault, fault.WebPush: webpush.CheckFault,
		},
	}))
	mux.HandleFunc("/", notFound)
	s.handler = mux
	return s, nil
}

func (s *Sim) newFCM(a account, key *rsa.PrivateKey) *fcm.Server {
	secret := sha256.Sum256(key.D.Bytes())
	return fcm.New(fcm.Options{
		ProjectID: a.ProjectID,
		Account: fcm.Account{
			Email: a.ClientEmail, KeyID: a.PrivateKeyID, Public: &key.PublicKey, TokenURI: a.TokenURI,
		},
		Secret: secret[:],
		Fleet:  s.fleet, Faults: s.faults, Meter: &s.meter,
	})
}

// Credentials returns what a sender needs to be let in.
func (s *Sim) Credentials() Credentials { return s.credentials }

// Phones returns the phones, for tests in the same process; everyone else has
// the control API.
func (s *Sim) Phones() *phone.Fleet { return s.fleet }

// ErrServed is what a second Serve returns: a Sim serves once.
var ErrServed = errors.New("sim: Serve was called before")

func notFound(w http.ResponseWriter, r *http.Request) {
	hint := "the control API is under /sim/: inbox, devices, faults, stats"
	if len(r.URL.Path) > 2 && r.URL.Path[:3] == "/3/" {
		hint = "APNs speaks HTTP/2 over TLS only: connect to this port with TLS and ALPN h2"
	}
	control.Error(w, http.StatusNotFound, "no such path; "+hint)
}
