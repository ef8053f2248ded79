// Package apitest is for tests only: it starts the HTTP side of the gateway
// over a real store and checks every exchange against openapi.yaml.
package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// Judge knows the contract.
type Judge struct {
	Doc    *openapi3.T
	router routers.Router
}

// NewJudge loads openapi.yaml.
func NewJudge(t testing.TB) *Judge {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(diaphone.OpenAPI())
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	openapi3filter.RegisterBodyDecoder("application/javascript", openapi3filter.PlainBodyDecoder) // the lines of the HTTP transports
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	doc.Servers = nil // the server under test has another address
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	return &Judge{Doc: doc, router: router}
}

// CheckDocument fails the test unless the contract is valid OpenAPI and every
// example in it fits its schema. That takes a while, so only one test asks.
func (j *Judge) CheckDocument(t testing.TB) {
	t.Helper()
	if err := j.Doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Errorf("openapi.yaml: %v", err)
	}
}

// Operations lists the contract's operations as "METHOD /path/{parameter}".
func (j *Judge) Operations() []string {
	var all []string
	for path, item := range j.Doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// Routes lists the routes of a server in the same notation, but for those that
// only tell a caller that nothing is there.
func Routes(e *echo.Echo) []string {
	parameter := regexp.MustCompile(`:([a-z_]+)`)
	var all []string
	for _, r := range e.Routes() {
		nowhere := strings.Contains(r.Path, "*") || r.Path == "/app" // a WebSocket is told so by a close code
		if !nowhere {
			all = append(all, r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	slices.Sort(all)
	return all
}

// CheckRoutes fails the test unless the server's routes are exactly the
// contract's operations, those of the tags excepted.
func (j *Judge) CheckRoutes(t testing.TB, e *echo.Echo, exceptTags ...string) {
	t.Helper()
	operations := map[string]bool{} // and whether there must be a route
	for path, item := range j.Doc.Paths.Map() {
		for method, o := range item.Operations() {
			except := slices.ContainsFunc(o.Tags, func(tag string) bool { return slices.Contains(exceptTags, tag) })
			operations[nameless(method+" "+path)] = !except
		}
	}
	for _, r := range Routes(e) {
		if _, known := operations[nameless(r)]; !known {
			t.Errorf("%s is a route, but openapi.yaml does not know it", r)
		}
		delete(operations, nameless(r))
	}
	for o, must := range operations {
		if must {
			t.Errorf("%s stands in openapi.yaml, but is no route", o)
		}
	}
}

// nameless drops the names of parameters: they are each side's own matter.
func nameless(operation string) string {
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(operation, "{}")
}

// Transport checks every exchange that goes through it: an answer is always one
// that the contract foresees, and a request that the contract does not allow is
// never accepted.
func (j *Judge) Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	return &judging{judge: j, t: t, next: next}
}

type judging struct {
	judge *Judge
	t     testing.TB
	next  http.RoundTripper
}

func (j *judging) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := j.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	if err := j.judge.exchange(r, sent, resp, got); err != nil {
		j.t.Errorf("%s %s -> %d: %v", r.Method, r.URL, resp.StatusCode, err)
	}
	return resp, nil
}

// exchange gives what is wrong with it, or nil.
func (j *Judge) exchange(r *http.Request, sent []byte, resp *http.Response, got []byte) error {
	if resp.Header.Get("X-Request-Id") == "" {
		return fmt.Errorf("the answer has no X-Request-Id")
	}
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	route, params, err := j.router.FindRoute(asked)
	if err != nil { // no operation: then the answer says so
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			return fmt.Errorf("answered, but openapi.yaml has no such operation: %w", err)
		}
		return j.problem(resp, got)
	}
	for name, v := range params { // the router leaves them as they stand in the path
		if params[name], err = url.PathUnescape(v); err != nil {
			params[name] = v
		}
	}
	options := &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus: true,
		SkipSettingDefaults:   true,
	}
	in := &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(asked.Context(), in); err != nil && accepted(resp, got) {
		return fmt.Errorf("accepted, but openapi.yaml does not allow it: %w", err)
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header,
		Body: io.NopCloser(bytes.NewReader(got)), Options: options,
	}
	if err := openapi3filter.ValidateResponse(asked.Context(), out); err != nil {
		return fmt.Errorf("the answer is not what openapi.yaml says: %w\n%.300s", err, got)
	}
	return nil
}

// accepted tells whether all of a request was: a batch says how many of its messages
// were not.
func accepted(resp *http.Response, got []byte) bool {
	var batch struct{ Refused int }
	return resp.StatusCode < 300 && (json.Unmarshal(got, &batch) != nil || batch.Refused == 0)
}

// problem checks an answer that belongs to no operation.
func (j *Judge) problem(resp *http.Response, got []byte) error {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/problem+json" {
		return fmt.Errorf("not a problem document but %q", resp.Header.Get("Content-Type"))
	}
	return j.Conforms("Problem", got)
}

// Conforms checks a JSON document against a schema of the contract.
func (j *Judge) Conforms(schema string, document []byte) error {
	ref := j.Doc.Components.Schemas[schema]
	if ref == nil {
		return fmt.Errorf("openapi.yaml has no schema %s", schema)
	}
	v, err := decodeAny(document)
	if err != nil {
		return err
	}
	if err := ref.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
		return fmt.Errorf("not a %s: %w\n%s", schema, err, strings.TrimSpace(string(document)))
	}
	return nil
}
