package channels

import (
	"crypto/md5"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/internal/h1"
)

// BenchmarkSignedPublish is what an event costs but for the kernel: one of 200 bytes
// to a channel that nobody is in, from the bytes of the request to its answer.
func BenchmarkSignedPublish(b *testing.B) {
	apps, err := gateway.NewApps(testApps)
	if err != nil {
		b.Fatal(err)
	}
	h := hub.New(hub.Config{})
	handler, err := api.New(api.Config{
		Logger:   slog.New(slog.DiscardHandler),
		Registry: prometheus.NewRegistry(),
		Doors:    []api.Door{New(Config{Gateway: gateway.New(gateway.Config{Apps: apps, Fanout: h.Publish}), Hub: h})},
	})
	if err != nil {
		b.Fatal(err)
	}
	body := `{"name":"bench","channels":["news"],"data":` + strconv.Quote(`{"text":"`+strings.Repeat("x", 188)+`"}`) + `}`
	sum := md5.Sum([]byte(body))
	query := map[string]string{
		paramKey: "app-key", paramTimestamp: strconv.FormatInt(time.Now().Unix(), 10),
		paramVersion: "1.0", paramBodyMD5: hex.EncodeToString(sum[:]),
	}
	target := "/apps/1/events?auth_key=app-key&auth_version=1.0&auth_timestamp=" + query[paramTimestamp] +
		"&body_md5=" + query[paramBodyMD5] + "&auth_signature=" + sign("app-secret", requestText(http.MethodPost, "/apps/1/events", sorted(query)))
	request := []byte("POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	requests, w := new(h1.Reader), &silent{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		r, _, err := requests.Read(request, len(request))
		if err != nil {
			b.Fatal(err)
		}
		clear(w.header)
		handler.ServeHTTP(w, r)
		if w.status != http.StatusOK {
			b.Fatalf("answered %d", w.status)
		}
	}
}

// silent is a http.ResponseWriter that keeps nothing but the status.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) WriteHeader(status int)      { s.status = status }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
