package torture

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/test/harness"
)

// ills are the scenes of providers that fail.
func ills() []scene {
	short := []scene{
		ill("GOAWAY, refused streams", 20*time.Second, 1500*time.Millisecond, fault{"provider": "apns", "goaway_every": 25}, fault{"provider": "apns", "reason": "refuse", "count": 50}),
		cutBehind(),
	}
	if !*whole {
		return short
	}
	return append(short,
		ill("500, then 503", 45*time.Second, 4*time.Second, append(each(fault{"status": 500, "count": 40}), each(fault{"status": 503, "retry_after": 2})...)...),
		ill("429 with Retry-After", 60*time.Second, 3*time.Second, each(fault{"status": 429, "retry_after": 2})...),
		ill("429 without Retry-After", 90*time.Second, 3*time.Second, each(fault{"status": 429})...),
		ill("wrong credentials", 90*time.Second, 3*time.Second, fault{"provider": "apns", "status": 403, "reason": "InvalidProviderToken"},
			fault{"provider": "fcm", "status": 403, "reason": "PERMISSION_DENIED"}),
		hanging(), answersTooLate(), unreachable(), deadTokens(), badDeviceTokens(),
	)
}

// each gives a fault to every provider.
func each(f fault) (all []fault) {
	for _, provider := range []string{"apns", "fcm", "webpush"} {
		one := fault{"provider": provider}
		for k, v := range f {
			one[k] = v
		}
		all = append(all, one)
	}
	return all
}

// ill is a scene of faults after which nobody may be shown anything twice.
func ill(name string, within, long time.Duration, faults ...fault) scene {
	return scene{name: name, load: light(), within: within, trouble: func(s *stage) {
		s.goOn(500 * time.Millisecond)
		s.ill(faults...)
		s.goOn(long)
	}}
}

// cutBehind cuts the ways to the providers when requests have arrived and answers have
// not.
func cutBehind() scene {
	return scene{name: "cut behind the request", load: light(), within: 45 * time.Second, relayed: true, trouble: func(s *stage) {
		s.ill(fault{"provider": "apns", "latency_ms": 100}, fault{"provider": "fcm", "latency_ms": 100})
		for range 4 {
			s.goOn(s.between(300*time.Millisecond, 600*time.Millisecond))
			s.sever()
		}
	}}
}

// sever cuts all connections to APNs and FCM.
func (s *stage) sever() {
	from := time.Now()
	s.apns.End(0)
	s.fcm.End(0)
	// What is in the kernel's buffers may arrive yet.
	s.book.cut(from, time.Now().Add(100*time.Millisecond), 2*concurrency)
}

// hanging: requests get no answer. Those that wait behind them for a connection may be
// sent when there is hardly any time left, and be given up while they are answered.
func hanging() scene {
	return scene{name: "hanging requests", load: light(), within: 45 * time.Second, trouble: func(s *stage) {
		s.goOn(500 * time.Millisecond)
		from := time.Now()
		s.ill(each(fault{"reason": "hang"})...)
		s.goOn(4 * time.Second)
		s.book.cut(from, time.Now().Add(attemptTimeout), lanes*concurrency)
	}}
}

// attemptTimeout is after how long the gateway gives an attempt up.
const attemptTimeout = 15 * time.Second

// answersTooLate: providers take requests and answer when nobody waits any more.
func answersTooLate() scene {
	return scene{name: "taken, answered too late", load: light(), within: 45 * time.Second, trouble: func(s *stage) {
		s.goOn(500 * time.Millisecond)
		from := time.Now()
		s.ill(each(fault{"latency_ms": 25_000})...)
		s.goOn(2 * time.Second)
		// Each slot of a lane is taken by one such request until the attempt is given up.
		s.book.cut(from, time.Now(), lanes*concurrency)
	}}
}

// unreachable: whoever answers in APNs' place cannot prove that it is APNs; then
// connections are refused.
func unreachable() scene {
	return scene{name: "TLS failure, refused", load: light(), within: time.Minute, relayed: true, trouble: func(s *stage) {
		s.goOn(500 * time.Millisecond)
		impostor := s.impostor()
		away := func(apns, fcm string, long time.Duration) {
			s.apns.Lead(apns)
			s.fcm.Lead(fcm)
			s.sever()
			s.goOn(long)
		}
		away(impostor.address, impostor.address, 3*time.Second)
		if impostor.requests() == 0 {
			s.t.Error("nobody has tried the impostor")
		}
		away("127.0.0.1:1", "127.0.0.1:1", 2*time.Second)
		away(s.apnsServer, s.fcmServer, 0)
	}}
}

// impostor is a server with a certificate that nobody has reason to trust.
type impostor struct {
	address string
	mu      sync.Mutex
	tried   int
}

func (i *impostor) requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.tried
}

func (s *stage) impostor() *impostor {
	dir := s.t.TempDir()
	harness.Certify(s.t, dir, "api.push.apple.com")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	l := tls.NewListener(harness.Listen(s.t), &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	i := &impostor{address: l.Addr().String()}
	var run sync.WaitGroup
	run.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			run.Go(func() { i.serve(s, conn) })
		}
	})
	s.t.Cleanup(func() {
		_ = l.Close()
		run.Wait()
	})
	return i
}

// serve lets one peer try. Over a session that it should not have begun nothing may come.
func (i *impostor) serve(s *stage, conn net.Conn) {
	defer conn.Close()
	i.mu.Lock()
	i.tried++
	i.mu.Unlock()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n > 0 {
		s.t.Errorf("the gateway speaks to whoever has any certificate: %v", err)
	}
}

// deadTokens: the app is taken off some phones. Their tokens are given up, but not
// those of phones that come back and register again.
func deadTokens() scene {
	return scene{name: "dead tokens", load: light(), within: 30 * time.Second, trouble: func(s *stage) {
		gone := make(map[diaphone.DeviceID]bool)
		s.book.dead = make(map[diaphone.DeviceID]bool)
		s.goOn(time.Second)
		for i, p := range s.traffic.phones[:9] {
			gone[p.id] = true
			s.book.dead[p.id] = i < 6
			s.SimCall(http.MethodPatch, "/sim/devices/"+string(p.id), map[string]string{"state": "uninstalled"}, nil)
		}
		s.book.excuses = []excuse{{state: diaphone.Failed, devices: gone,
			reasons: []string{"Unregistered", "UNREGISTERED", "errno_106", diaphone.ReasonTokenGone}}}
		s.goOn(3 * time.Second)
		for _, p := range s.traffic.phones[6:9] {
			s.SimCall(http.MethodPatch, "/sim/devices/"+string(p.id), map[string]string{"state": "online"}, nil)
			if _, err := s.Client.PutDevice(context.Background(), p.id, p.device); err != nil {
				s.t.Fatal(err)
			}
		}
		s.goOn(time.Second)
	}}
}

// badDeviceTokens: all tokens of a lane are called wrong, as with a key of the other
// environment. The lane waits, and no device is touched.
func badDeviceTokens() scene {
	return scene{name: "BadDeviceToken for all", load: light(), within: 90 * time.Second, trouble: func(s *stage) {
		phones := make(map[diaphone.DeviceID]bool)
		for _, p := range s.traffic.phones {
			phones[p.id] = p.device.Platform == diaphone.IOS
		}
		s.ill(fault{"provider": "apns", "status": 400, "reason": "BadDeviceToken"})
		s.goOn(3 * time.Second)
		// Those before the guard has seen enough, and those under way then.
		s.book.excuses = []excuse{{diaphone.Failed, []string{"BadDeviceToken"}, phones, 2*20 + concurrency}}
		if !strings.Contains(s.Gateway.Stderr(), "most tokens of a lane are refused at once") {
			s.t.Error("nobody has been told that most tokens are refused")
		}
	}}
}
