package channels

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/channels/fallback"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/sockets"
)

// Config of the door.
type Config struct {
	Gateway *gateway.Gateway // required
	Hub     *hub.Hub         // required
	Logger  *slog.Logger     // default: none
	// ActivityTimeout is after how much silence clients send a ping of their own;
	// whole seconds; default 120 s, as hosted. We ping them earlier than that.
	ActivityTimeout time.Duration
}

const defaultActivityTimeout = 120 * time.Second

// Door is the Pusher Channels door. It is safe for concurrent use and starts no
// goroutine.
type Door struct {
	gateway  *gateway.Gateway
	hub      *hub.Hub
	log      *slog.Logger
	activity int                // seconds
	signers  map[string]*signer // by key; apps never change
	calls    sync.Pool          // of *call
	sessions *fallback.Sessions
}

// New builds the door.
func New(c Config) *Door {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ActivityTimeout < time.Second {
		c.ActivityTimeout = defaultActivityTimeout
	}
	return &Door{
		gateway:  c.Gateway,
		hub:      c.Hub,
		log:      c.Logger,
		activity: int(c.ActivityTimeout / time.Second),
		signers:  signers(c.Gateway.Apps().All()),
		calls:    sync.Pool{New: func() any { return new(call) }},
		sessions: fallback.New(func(sock net.Conn, accept func(*sockets.Conn) sockets.Handler) error {
			return c.Hub.Engine().Adopt(sock, accept)
		}),
	}
}

// Mount adds the door's routes. Everything below /apps/, /app and /pusher/app/ is
// its own.
func (d *Door) Mount(e *echo.Echo) {
	e.Use(d.astray)
	e.POST("/apps/:app/events", d.signed(d.postEvent))
	e.POST("/apps/:app/batch_events", d.signed(d.postBatch))
	e.GET("/apps/:app/channels", d.signed(d.listChannels))
	e.GET("/apps/:app/channels/:channel", d.signed(d.getChannel))
	e.GET("/apps/:app/channels/:channel/users", d.signed(d.listUsers))
	e.POST("/apps/:app/channels/:channel/events", d.signed(d.postToChannel))
	e.GET("/apps/:app/channels/:channel/stats", d.signed(d.channelStats))
	e.POST("/apps/:app/users/:user/terminate_connections", d.signed(d.terminate))
	e.Any("/apps/*", func(c echo.Context) error {
		api.HidePath(c) // nobody's path may have anything in it
		return c.String(http.StatusNotFound, "Not found")
	})

	e.GET("/app/:key", d.connect)
	e.GET("/app", d.connectNowhere)
	e.GET("/app/*", d.connectNowhere)
	d.mountFallback(e)
}

// Quick tells of the requests that the door answers without waiting for anything:
// events, which are never stored, and new connections.
func (*Door) Quick(r *http.Request) bool {
	path := r.URL.Path
	if r.Method == http.MethodGet {
		return strings.HasPrefix(path, "/app/") && r.Header.Get("Upgrade") != ""
	}
	return r.Method == http.MethodPost && strings.HasPrefix(path, "/apps/") &&
		(strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/batch_events"))
}
