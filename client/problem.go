package client

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone/api/wire"
)

// Problem is a refusal: what the gateway said of it (RFC 9457), or the bare
// status when something between us and the gateway answered.
type Problem struct {
	wire.Problem
	RetryAfter time.Duration // when it is worth trying again; 0: not told
}

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, p.Title)
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	for _, e := range p.Errors {
		switch {
		case e.Detail != p.Detail:
			fmt.Fprintf(&b, " (%s: %s)", e.Pointer, e.Detail)
		case e.Pointer != "":
			fmt.Fprintf(&b, " (%s)", e.Pointer)
		}
	}
	if p.RequestID != "" {
		b.WriteString(" [request " + p.RequestID + "]")
	}
	return b.String()
}

func problemOf(resp *http.Response, body []byte) *Problem {
	p := &Problem{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "application/problem+json" || json.Unmarshal(body, &p.Problem) != nil {
		p.Problem = wire.Problem{Title: http.StatusText(resp.StatusCode), RequestID: resp.Header.Get("X-Request-Id")}
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}
