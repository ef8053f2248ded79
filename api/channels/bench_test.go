package channels

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hub"
)

// BenchmarkSignedPublish is what the door itself costs: one event of 200 bytes to
// a channel that nobody is in, without net/http's server around it.
func BenchmarkSignedPublish(b *testing.B) {
	apps, err := gateway.NewApps(testApps)
	if err != nil {
		b.Fatal(err)
	}
	h := hub.New(hub.Config{})
	e := echo.New()
	New(Config{Gateway: gateway.New(gateway.Config{Apps: apps, Fanout: h.Publish}), Hub: h}).Mount(e)

	body := `{"name":"bench","channels":["news"],"data":` + strconv.Quote(`{"text":"`+strings.Repeat("x", 188)+`"}`) + `}`
	sum := md5.Sum([]byte(body))
	query := map[string]string{
		paramKey: "app-key", paramTimestamp: strconv.FormatInt(time.Now().Unix(), 10),
		paramVersion: "1.0", paramBodyMD5: hex.EncodeToString(sum[:]),
	}
	target := "/apps/1/events?auth_key=app-key&auth_version=1.0&auth_timestamp=" + query[paramTimestamp] +
		"&body_md5=" + query[paramBodyMD5] + "&auth_signature=" + sign("app-secret", requestText(http.MethodPost, "/apps/1/events", query))
	req := httptest.NewRequest(http.MethodPost, target, nil)
	req.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		w := &silent{header: http.Header{}}
		req.Body = readCloser{strings.NewReader(body)}
		e.ServeHTTP(w, req)
		if w.status != http.StatusOK {
			b.Fatalf("answered %d", w.status)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// silent is a http.ResponseWriter that keeps nothing but the status.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) WriteHeader(status int)      { s.status = status }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
