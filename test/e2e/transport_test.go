package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// socket reads first what came together with the answer to its upgrade.
type socket struct {
	net.Conn
	r io.Reader
}

func (s *socket) Read(p []byte) (int, error) { return s.r.Read(p) }

func dialSocket(t *testing.T, d ws.Dialer, url string) *socket {
	t.Helper()
	conn, early, _, err := d.Dial(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if early == nil {
		return &socket{conn, conn}
	}
	return &socket{conn, early}
}

const tlsApps = `apps:
  - id: "1"
    keys: [{key: app-key, secret: app-secret}]
    tokens: [{token: dp_dev}]
    channels: {tls_only: true}
`

// TestTLSWithoutAProxy: API over HTTP/2 and sockets over HTTP/1.1 on one port, under
// a path prefix, on each poller; the certificate is renewed without a restart, and a
// bad one is refused.
func TestTLSWithoutAProxy(t *testing.T) {
	for _, poller := range []string{"epoll", "go"} {
		t.Run(poller, func(t *testing.T) {
			dir := t.TempDir()
			roots := x509.NewCertPool()
			roots.AddCert(harness.Certify(t, dir, "first.example"))
			apps := filepath.Join(dir, "apps.yaml")
			if err := os.WriteFile(apps, []byte(tlsApps), 0o600); err != nil {
				t.Fatal(err)
			}
			address := fmt.Sprintf("127.0.0.1:%d", harness.Ports(t, 1))
			gateway := harness.Start(t, "serve", "--apps", apps, "--data-dir", filepath.Join(dir, "data"), "--listen", address, "--poller", poller,
				"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"), "--path-prefix", "/push", "--drain-for", "0s")
			config := &tls.Config{RootCAs: roots}
			web := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: true}}
			defer web.CloseIdleConnections()
			harness.Until(t, 20*time.Second, "the gateway is ready", func() bool {
				res, err := web.Get("https://" + address + "/readyz")
				if err != nil {
					return false
				}
				res.Body.Close()
				return res.StatusCode == http.StatusOK && res.ProtoMajor == 2
			})

			conn := dialSocket(t, ws.Dialer{TLSConfig: config}, "wss://"+address+"/push/app/app-key?protocol=7")
			hear := func(event string) {
				t.Helper()
				text, err := wsutil.ReadServerText(conn)
				var f struct{ Event string }
				if err != nil || json.Unmarshal(text, &f) != nil || f.Event != event {
					t.Fatalf("heard %s, %v; want %s", text, err, event)
				}
			}
			publish := func() {
				t.Helper()
				r, err := http.NewRequest(http.MethodPost, "https://"+address+"/push/v1/messages",
					strings.NewReader(`{"to":{"channels":["news"]},"event":{"name":"said","data":"1"}}`))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer dp_dev")
				r.Header.Set("Content-Type", "application/json")
				res, err := web.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusAccepted || res.ProtoMajor != 2 {
					t.Fatalf("HTTP/%d: %d %s", res.ProtoMajor, res.StatusCode, text)
				}
			}
			hear("pusher:connection_established")
			if err := wsutil.WriteClientText(conn, []byte(`{"event":"pusher:subscribe","data":{"channel":"news"}}`)); err != nil {
				t.Fatal(err)
			}
			hear("pusher_internal:subscription_succeeded")
			publish()
			hear("said")

			res, err := web.Get("https://" + address + "/push/metrics")
			if err != nil {
				t.Fatal(err)
			}
			metrics, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if !strings.Contains(string(metrics), "diaphone_tls_certificate_expires_timestamp_seconds 1.") {
				t.Error("the metrics do not tell when the certificate expires")
			}

			shown := func() string {
				c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots})
				if err != nil {
					return err.Error()
				}
				defer c.Close()
				return c.ConnectionState().PeerCertificates[0].DNSNames[0]
			}
			if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("no key"), 0o600); err != nil {
				t.Fatal(err)
			}
			gateway.Signal(syscall.SIGHUP)
			harness.Until(t, 20*time.Second, "the bad certificate is refused", func() bool {
				return strings.Contains(gateway.Stderr(), "the old one stays")
			})
			if got := shown(); got != "first.example" {
				t.Errorf("%s is shown after a bad renewal", got)
			}
			roots.AddCert(harness.Certify(t, dir, "second.example"))
			gateway.Signal(syscall.SIGHUP)
			harness.Until(t, 20*time.Second, "the new certificate is shown", func() bool { return shown() == "second.example" })
			publish() // on the connection of before
			hear("said")

			if c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
				_ = c.Close()
				t.Error("TLS 1.1 is spoken")
			}
			if code := gateway.Stop(20 * time.Second); code != 0 {
				t.Errorf("exit code %d\n%s", code, gateway.Stderr())
			}
			if _, err := wsutil.ReadServerText(conn); err == nil {
				t.Error("the socket outlived the gateway")
			}
		})
	}
}

// TestHangUpWithoutTLS: there is nothing to reload, and the gateway goes on.
func TestHangUpWithoutTLS(t *testing.T) {
	w := harness.NewWorld(t, nil)
	w.Gateway.Signal(syscall.SIGHUP)
	harness.Until(t, 20*time.Second, "it says so", func() bool { return strings.Contains(w.Gateway.Stderr(), "nothing to reload") })
	if code := w.Gateway.Stop(20 * time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestBehindAProxy: a path prefix, and a word on the client's way that only a trusted
// proxy is believed.
func TestBehindAProxy(t *testing.T) {
	for trusted, want := range map[string]string{"127.0.0.0/8": "pusher:connection_established", "10.0.0.0/8": "pusher:error"} {
		dir := t.TempDir()
		apps := filepath.Join(dir, "apps.yaml")
		if err := os.WriteFile(apps, []byte(tlsApps), 0o600); err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", harness.Ports(t, 1))
		gateway := harness.Start(t, "serve", "--apps", apps, "--data-dir", filepath.Join(dir, "data"), "--listen", address,
			"--path-prefix", "/push", "--trusted-proxies", trusted, "--log-level", "debug", "--drain-for", "0s")
		web := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		harness.Until(t, 20*time.Second, "the gateway is ready", func() bool {
			res, err := web.Get("http://" + address + "/push/readyz")
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		})
		for _, path := range []string{"/push/app/app-key", "/app/app-key"} {
			d := ws.Dialer{Timeout: time.Minute, Header: ws.HandshakeHeaderHTTP{
				"X-Forwarded-Proto": []string{"https"}, "X-Forwarded-For": []string{"203.0.113.77"},
			}}
			conn := dialSocket(t, d, "ws://"+address+path)
			text, err := wsutil.ReadServerText(conn)
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s, trusting %s: heard %s, %v; want %s", path, trusted, text, err, want)
			}
		}
		if code := gateway.Stop(20 * time.Second); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if believed := strings.Contains(gateway.Stderr(), "203.0.113.77"); believed != (trusted == "127.0.0.0/8") {
			t.Errorf("trusting %s, the log has the client's word: %v", trusted, believed)
		}
	}
}
