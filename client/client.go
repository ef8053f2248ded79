// Package client is the Go client of Diaphone's native API. The documents it
// sends and receives are those of package api/wire.
//
//	c, err := client.New("http://127.0.0.1:6001", "dp_dev")
//	p, err := c.Publish(ctx, wire.NewMessage{
//		To:           wire.Audience{Users: []diaphone.UserID{"ana"}},
//		Notification: &diaphone.Notification{Title: "hello"},
//	}, "order-7341-shipped")
//	m, err := c.Wait(ctx, p.ID)
//
// No call is ever repeated behind the caller's back; only Wait asks again and
// again, which is its purpose. An answer of 4xx or 5xx comes back as a *Problem.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Timeout bounds one request, from dialling to the last byte of the answer,
// unless WithHTTPClient brings a client of its own. A caller's context may end
// it earlier.
const Timeout = 30 * time.Second

// maxAnswer bounds what is read of one answer: a page of 1000 deliveries with
// all their attempts stays far below.
const maxAnswer = 32 << 20

// Client is safe for concurrent use.
type Client struct {
	base  string        // without a slash at the end
	token func() string // fmt prints unexported fields as they are, but of a func only its address
	http  *http.Client
	agent string
}

// Option changes how a Client works.
type Option func(*Client)

// WithHTTPClient makes the Client use h, with its transport and its timeout.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithUserAgent sets the User-Agent, for the gateway's log.
func WithUserAgent(agent string) Option { return func(c *Client) { c.agent = agent } }

// New makes a Client of the gateway at baseURL, for example
// "https://push.example.com" or, behind a prefix, "https://example.com/push".
// The token is a bearer token of the app. New opens no connection.
func New(baseURL, token string, options ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, errors.New("the gateway's address is not a URL: http://HOST:PORT or https://HOST is needed") // err would repeat it, with a password in it perhaps
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the gateway's address %q: http://HOST:PORT or https://HOST is needed, without user, query and fragment", u.Redacted())
	}
	c := &Client{
		base:  strings.TrimRight(u.String(), "/"),
		token: func() string { return token },
		agent: "diaphone-go",
		http: &http.Client{
			Timeout: Timeout,
			// The API never redirects, and whoever does must not get the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// request is one call of the API.
type request struct {
	method string
	path   string // escaped, from /v1
	query  url.Values
	header http.Header
	body   any // nil: none
}

// setIdempotencyKey sets the header, unless the key is empty.
func (r *request) setIdempotencyKey(key string) {
	if key != "" {
		r.header = http.Header{"Idempotency-Key": {key}}
	}
}

// do makes the call, decodes the answer into out (nil: there is none) and gives
// its headers.
func (c *Client) do(ctx context.Context, r request, out any) (http.Header, error) {
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err // says method and URL already
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, problemOf(resp, body)
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			return nil, fmt.Errorf("%s %s: the answer is not what the API gives: %w", r.method, r.path, err)
		}
	}
	return resp.Header, nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+c.token())
	req.Header.Set("User-Agent", c.agent)
	return req, nil
}
