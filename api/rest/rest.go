// Package rest is the native API, version 1: it authenticates, decodes strictly,
// and hands on to package gateway. openapi.yaml is its contract. Errors leave it
// as *diaphone.Error; package api makes problem documents of them.
package rest

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/gateway"
)

// Limits of a request body, in bytes.
const (
	MaxMessageBody = 64 << 10
	MaxBatchBody   = 2 << 20 // each message in it has at most MaxMessageBody
	MaxDeviceBody  = 16 << 10
)

// RequestTimeout is how long the gateway may work on one request before the
// caller is told to come again.
const RequestTimeout = 10 * time.Second

// Config names what the door needs.
type Config struct {
	Gateway *gateway.Gateway
	Logger  *slog.Logger // default: none; for what no answer tells
	// Stopping is closed when the gateway is about to stop: answers without an end end
	// then. nil: never.
	Stopping <-chan struct{}
}

// Door is the native API, an api.Door.
type Door struct {
	gateway  *gateway.Gateway
	log      *slog.Logger
	stopping <-chan struct{}
}

// New builds the door.
func New(c Config) *Door {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Door{gateway: c.Gateway, log: c.Logger, stopping: c.Stopping}
}

// call is one authenticated request. Whatever a handler reads or changes, it
// does as this app.
type call struct {
	echo.Context
	app   *diaphone.App
	token *diaphone.AccessToken // that it came with
	query url.Values            // the parameters that the route knows, each at most once
}

// ctx ends after RequestTimeout, except of a stream, or when the caller hangs up.
func (c *call) ctx() context.Context { return c.Request().Context() }

// Mount adds the routes. Every one of them goes through the door's
// authentication; there is no other way to add one here.
func (d *Door) Mount(e *echo.Echo) {
	v1 := func(method, path string, handle func(*call) error, parameters ...string) {
		e.Add(method, "/v1"+path, d.authenticated(timed(handle), parameters))
	}
	e.GET("/v1/messages/:message_id/progress", d.authenticated(d.progress, nil)) // it ends when it ends
	v1(http.MethodPost, "/messages", d.publish, "preview")
	v1(http.MethodPost, "/messages/batch", d.publishBatch)
	v1(http.MethodGet, "/messages/:message_id", d.message)
	v1(http.MethodPost, "/messages/:message_id/cancel", d.cancelMessage)
	v1(http.MethodGet, "/messages/:message_id/deliveries", d.deliveries, "cursor", "limit")
	v1(http.MethodGet, "/explain", d.explain, "message", "user", "device")
	v1(http.MethodGet, "/devices", d.listDevices, "user_id", "cursor", "limit")
	v1(http.MethodPut, "/devices/:device_id", d.putDevice)
	v1(http.MethodGet, "/devices/:device_id", d.device)
	v1(http.MethodDelete, "/devices/:device_id", d.deleteDevice)
	v1(http.MethodPost, "/devices/:device_id/secret", d.newSecret)
	v1(http.MethodPut, "/devices/:device_id/channels/:channel", d.subscribe)
	v1(http.MethodDelete, "/devices/:device_id/channels/:channel", d.unsubscribe)
	v1(http.MethodGet, "/users/:user_id", d.user)
	v1(http.MethodDelete, "/users/:user_id", d.eraseUser)
	v1(http.MethodPost, "/users/:user_id/disconnect", d.disconnectUser)
	v1(http.MethodGet, "/channels", d.listChannels, "prefix", "cursor", "limit")
	v1(http.MethodGet, "/channels/:channel", d.channel)
	v1(http.MethodGet, "/channels/:channel/members", d.members, "cursor", "limit")
	v1(http.MethodGet, "/channels/:channel/events", d.pastEvents, "since", "limit")
	v1(http.MethodGet, "/webhooks", d.listWebhooks)
	v1(http.MethodGet, "/webhooks/:webhook/dead-letters", d.deadLetters, "cursor", "limit")
	v1(http.MethodDelete, "/webhooks/:webhook/dead-letters", d.discardDeadLetters, "sequences")
	v1(http.MethodPost, "/webhooks/:webhook/dead-letters/resend", d.resendDeadLetters)
}

// authenticated lets handle see only requests of a known app, with no other
// query parameters than the given.
func (d *Door) authenticated(handle func(*call) error, parameters []string) echo.HandlerFunc {
	return func(c echo.Context) error {
		app, token, err := d.authenticate(c)
		if err != nil {
			return err
		}
		c.Set(api.AppKey, string(app.ID))
		if app.Disabled {
			return &diaphone.Error{Code: diaphone.Forbidden, Detail: "the app is disabled", Hint: "whoever runs the gateway has set enabled: false in its apps file"}
		}
		query, err := strict.Query(c.Request().URL.RawQuery, parameters)
		if err != nil {
			return err
		}
		return handle(&call{Context: c, app: app, token: token, query: query})
	}
}

// timed gives a request its time.
func timed(handle func(*call) error) func(*call) error {
	return func(c *call) error {
		ctx, cancel := context.WithTimeout(c.ctx(), RequestTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return handle(c)
	}
}

// authenticate finds the app of the bearer token (RFC 6750). An unknown token
// and a missing one are refused alike, but RFC 6750 §3 wants an error code for
// the former only.
func (d *Door) authenticate(c echo.Context) (*diaphone.App, *diaphone.AccessToken, error) {
	const challenge = `Bearer realm="diaphone"`
	refuse := func(challenge, detail string) error {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, challenge)
		return &diaphone.Error{
			Code:   diaphone.Unauthorized,
			Detail: detail,
			Hint:   "send the header Authorization: Bearer TOKEN with a token of the app",
		}
	}
	token := strict.Bearer(c)
	if token == "" {
		return nil, nil, refuse(challenge, "there is no bearer token")
	}
	app, known := d.gateway.Apps().ByToken(token)
	if app == nil {
		return nil, nil, refuse(challenge+`, error="invalid_token"`, "the bearer token belongs to no app")
	}
	return app, known, nil
}

func (c *call) param(name string) (string, error) { return strict.Param(c, name) }

// deviceID reads and checks the path parameter.
func (c *call) deviceID() (diaphone.DeviceID, error) {
	v, err := c.param("device_id")
	if err != nil {
		return "", err
	}
	id := diaphone.DeviceID(v)
	return id, at("/device_id", id.Validate())
}

func at(pointer string, err error) error { return strict.At(pointer, err) }

func readBody(c *call, limit int64) ([]byte, error) { return strict.Body(c, limit) }

func decode[T any](body []byte) (T, error) { return strict.Decode[T](body) }

// reply writes a document. JSON of others in it (what a backend said of a member) goes
// out as it is, also where we would not take it.
func (c *call) reply(status int, document any) error {
	body, err := json.Marshal(document, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	return c.Blob(status, echo.MIMEApplicationJSON, body)
}
