package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/diaphone-dev/diaphone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type doorFunc func(*echo.Echo)

func (f doorFunc) Mount(e *echo.Echo) { f(e) }

type fixture struct {
	handler  http.Handler
	registry *prometheus.Registry
	log      bytes.Buffer
	reasons  []Reason
}

// start builds a server with a door whose routes misbehave.
func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{registry: prometheus.NewRegistry()}
	door := doorFunc(func(e *echo.Echo) {
		e.GET("/v1/fine/:id", func(c echo.Context) error {
			c.Set("app", "7")
			return c.String(http.StatusOK, "fine")
		})
		e.GET("/v1/panic", func(echo.Context) error { panic("out of cheese") })
		e.GET("/v1/abort", func(echo.Context) error { panic(http.ErrAbortHandler) })
		e.GET("/v1/late", func(c echo.Context) error {
			_ = c.String(http.StatusOK, "begun")
			return errors.New("too late for a problem")
		})
		e.POST("/v1/read", func(c echo.Context) error {
			_, err := io.Copy(io.Discard, c.Request().Body)
			return err
		})
		e.GET("/app/:key", func(c echo.Context) error {
			conn, _, err := c.Response().Hijack()
			if err != nil {
				return err
			}
			return conn.Close()
		})
	})
	e, err := New(Config{
		Logger:   slog.New(slog.NewJSONHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registry: f.registry,
		Ready:    func(context.Context) []Reason { return f.reasons },
		Doors:    []Door{door},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = e
	return f
}

func (f *fixture) get(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

func (f *fixture) lastLine(t *testing.T) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(f.log.String()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatalf("%v in %q", err, f.log.String())
	}
	return line
}

func TestEveryAnswerHasIdAndSafeHeaders(t *testing.T) {
	f := start(t)
	for _, path := range []string{"/v1/fine/a", "/v1/panic", "/nowhere", "/livez", "/metrics", "/v1/read"} {
		h := f.get(http.MethodGet, path).Header()
		if h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Content-Security-Policy") == "" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestRequestID(t *testing.T) {
	f := start(t)
	for given, taken := range map[string]bool{
		"4bf92f3577b34da6":       true,
		"a-b_c.d:e/f+g=h@i":      true,
		strings.Repeat("x", 128): true,
		strings.Repeat("x", 129): false,
		"with blank":             false,
		`quote"`:                 false,
		"esc\x1b[31m":            false,
		"<script>":               false,
		"":                       false,
	} {
		w := f.get(http.MethodGet, "/v1/fine/a", "X-Request-Id: "+given)
		got := w.Header().Get("X-Request-Id")
		if got == "" || (got == given) != taken {
			t.Errorf("given %q, answered %q", given, got)
		}
		if logged := f.lastLine(t)["request_id"]; logged != got {
			t.Errorf("answered %q, logged %v", got, logged)
		}
	}
}

func TestPanicBecomesProblemAndProcessGoesOn(t *testing.T) {
	f := start(t)
	w := f.get(http.MethodGet, "/v1/panic")
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "cheese") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	line := f.lastLine(t)
	stack, _ := line["stack"].(string)
	if line["level"] != "ERROR" || line["error"] != "panic: out of cheese" || !strings.Contains(stack, "api_test.go") {
		t.Errorf("logged %v", line)
	}
	if f.get(http.MethodGet, "/v1/fine/a").Code != http.StatusOK {
		t.Error("the server did not go on")
	}
}

// net/http's own way to drop a connection must stay one.
func TestAbortPassesThrough(t *testing.T) {
	f := start(t)
	defer func() {
		if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the value itself
			t.Errorf("recovered %v", v)
		}
		if text := f.get(http.MethodGet, "/metrics").Body.String(); !strings.Contains(text, "diaphone_http_requests_in_flight 1\n") {
			t.Error("the request still counts as in flight")
		}
	}()
	f.get(http.MethodGet, "/v1/abort")
}

func TestBegunAnswerIsLeftAlone(t *testing.T) {
	f := start(t)
	if w := f.get(http.MethodGet, "/v1/late"); w.Code != http.StatusOK || w.Body.String() != "begun" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if line := f.lastLine(t); line["error"] != "too late for a problem" {
		t.Errorf("logged %v", line)
	}
}

func TestAccessLog(t *testing.T) {
	f := start(t)
	f.get(http.MethodGet, "/v1/fine/a%20b?auth_signature=s3cret", "Authorization: Bearer s3cret", "X-Request-Id: r1")
	line := f.lastLine(t)
	for name, want := range map[string]any{
		"level": "DEBUG", "msg": "request", "request_id": "r1", "method": "GET", "route": "/v1/fine/:id",
		"path": "/v1/fine/a%20b", "status": 200.0, "app": "7", "bytes_out": 4.0,
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	f.get(http.MethodGet, "/"+strings.Repeat("x", 5000))
	if line := f.lastLine(t); line["level"] != "INFO" || line["route"] != "none" || len(line["path"].(string)) > 600 {
		t.Errorf("logged %v", line)
	}
	if strings.Contains(f.log.String(), "s3cret") {
		t.Error("the log has a query or a header")
	}
}

func TestNotFoundAndMethodNotAllowed(t *testing.T) {
	f := start(t)
	if w := f.get(http.MethodGet, "/nowhere"); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"code":"not_found"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := f.get(http.MethodDelete, "/v1/read")
	if w.Code != http.StatusMethodNotAllowed || !strings.Contains(w.Header().Get("Allow"), "POST") || !strings.Contains(w.Body.String(), `"code":"method_not_allowed"`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestBodyOverTheLastLimit(t *testing.T) {
	f := start(t)
	for size, status := range map[int]int{MaxBodyBytes: 200, MaxBodyBytes + 1: 413} {
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/read", strings.NewReader(strings.Repeat("x", size))))
		if w.Code != status {
			t.Errorf("%d bytes: %d %s", size, w.Code, w.Body)
		}
	}
}

func TestHealth(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		reasons []Reason
		path    string
		status  int
		body    string
	}{
		{nil, "/livez", 200, `{"status":"alive"}`},
		{nil, "/readyz", 200, `{"status":"ready"}`},
		{nil, "/readyz?verbose", 200, `{"status":"ready","reasons":[]}`},
		{[]Reason{{"store", "the disk is full"}}, "/livez", 200, `{"status":"alive"}`},
		{[]Reason{{"store", "the disk is full"}}, "/readyz", 503, `{"status":"not_ready"}`},
		{[]Reason{{"store", "the disk is full"}}, "/readyz?verbose", 503, `{"status":"not_ready","reasons":[{"part":"store","detail":"the disk is full"}]}`},
	} {
		f.reasons = c.reasons
		if w := f.get(http.MethodGet, c.path); w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
}

func TestSpecIsServedAndKept(t *testing.T) {
	f := start(t)
	w := f.get(http.MethodGet, "/openapi.yaml")
	etag := w.Header().Get("ETag")
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), diaphone.OpenAPI()) || etag == "" || w.Header().Get("Content-Type") != "application/yaml" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for asked, status := range map[string]int{etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
		if w := f.get(http.MethodGet, "/openapi.yaml", "If-None-Match: "+asked); w.Code != status {
			t.Errorf("If-None-Match %s: %d", asked, w.Code)
		}
	}
}

func TestHeadAnswersLikeGetWithoutBody(t *testing.T) {
	server := httptest.NewServer(NewServer(start(t).handler, slog.New(slog.DiscardHandler)).Handler)
	defer server.Close()
	for path, status := range map[string]int{"/livez": 200, "/readyz": 200, "/v1/fine/a": 200, "/nowhere": 404} {
		resp, err := server.Client().Head(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != status || len(body) != 0 {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	f := start(t)
	for range 3 {
		f.get(http.MethodGet, "/v1/fine/"+time.Now().Format("150405.000000000"))
		f.get("BREW"+time.Now().Format("150405"), "/"+time.Now().Format("150405.000000000"))
	}
	f.get(http.MethodPut, "/v1/read")
	text := f.get(http.MethodGet, "/metrics").Body.String()
	for _, want := range []string{
		`diaphone_http_request_duration_seconds_count{method="GET",route="/v1/fine/:id",status="2xx"} 3`,
		`diaphone_http_request_duration_seconds_count{method="other",route="none",status="4xx"} 3`,
		`diaphone_http_request_duration_seconds_count{method="PUT",route="/v1/read",status="4xx"} 1`,
		`diaphone_http_requests_in_flight 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", err, problems)
	}
}

// A door that takes the connection over writes nothing through the response.
func TestTakenOverConnectionCountsAsSwitched(t *testing.T) {
	f := start(t)
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done) // the server itself does not wait for a connection that was taken over
		f.handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL+"/app/key?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Connection", "Upgrade")
	if resp, err := server.Client().Do(r); err == nil {
		_ = resp.Body.Close()
	}
	<-done
	if line := f.lastLine(t); line["status"] != 101.0 || line["level"] != "DEBUG" {
		t.Errorf("logged %v", line)
	}
}

func TestNewServerHasLimits(t *testing.T) {
	s := NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.WriteTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 || s.ErrorLog == nil {
		t.Errorf("%+v", s)
	}
}

func TestSecondServerOnOneRegistryIsRefused(t *testing.T) {
	f := start(t)
	_, err := New(Config{Logger: slog.New(slog.DiscardHandler), Registry: f.registry})
	if err == nil {
		t.Error("two servers count into the same metrics")
	}
}
