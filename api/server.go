package api

import (
	"log/slog"
	"net/http"
	"time"
)

// Limits of the HTTP server.
const (
	// ReadHeaderTimeout cuts off a client that trickles its headers (slowloris).
	ReadHeaderTimeout = 5 * time.Second
	// ReadTimeout bounds a whole request, headers and body. A hijacked connection
	// is free of it: net/http clears the deadlines.
	ReadTimeout = 15 * time.Second
	// WriteTimeout bounds the time from the end of the headers to the end of the
	// answer. Every handler has its own, shorter one, but those whose answers have no
	// end: they bound each write.
	WriteTimeout = 30 * time.Second
	// IdleTimeout is how long a kept-alive connection may wait for its next
	// request. Longer than the 60 s that common proxies keep theirs, so that the
	// proxy is the one who closes.
	IdleTimeout = 120 * time.Second
	// MaxHeaderBytes bounds the headers of a request; net/http adds 4 KB of its own.
	MaxHeaderBytes = 16 << 10
	// MaxBodyBytes is the last line of defence on a body; doors set lower limits.
	MaxBodyBytes = 8 << 20
)

// NewServer wraps the handler in a server with the limits above. The caller
// serves and shuts it down. What net/http itself has to complain about goes to
// the logger at level debug: it is about clients, not about us.
func NewServer(h http.Handler, l *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           headAsGet(h),
		ReadHeaderTimeout: ReadHeaderTimeout,
		ReadTimeout:       ReadTimeout,
		WriteTimeout:      WriteTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(l.Handler(), slog.LevelDebug),
	}
}

// headAsGet lets every GET answer HEAD (RFC 9110 §9.3.2). The handler sees a GET
// and writes a body; net/http, which still knows the method, leaves it out.
func headAsGet(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := r.WithContext(r.Context()) // a copy
			get.Method = http.MethodGet
			r = get
		}
		h.ServeHTTP(w, r)
	})
}
