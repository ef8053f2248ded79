package rest

import (
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/strict"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/storage"
)

// The headers of idempotent publishing
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/;
// the second is Stripe's).
const (
	idempotencyKey     = "Idempotency-Key"
	idempotentReplayed = "Idempotent-Replayed"
)

// MaxIdempotencyKey is the longest key, in characters.
const MaxIdempotencyKey = 255

func (d *Door) publish(c *call) error {
	preview, err := c.flag("preview")
	if err != nil {
		return err
	}
	body, err := readBody(c, MaxMessageBody)
	if err != nil {
		return err
	}
	key, err := c.keyHeader()
	if err != nil {
		return err
	}
	var idem storage.Idempotency
	if key != "" {
		idem = c.idempotency(key, body)
	}
	in, err := decode[wire.NewMessage](body)
	if err != nil {
		return err
	}
	m, err := messageOf(c.app.ID, &in)
	if err != nil {
		return err
	}
	if preview {
		return d.preview(c, m)
	}
	if err := d.admit(c); err != nil {
		return err
	}
	p, err := d.gateway.Publish(c.ctx(), m, idem)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	if p.Stored {
		h.Set(echo.HeaderLocation, "/v1/messages/"+string(p.ID))
	}
	if p.Replayed {
		h.Set(idempotentReplayed, "true")
	}
	return c.reply(http.StatusAccepted, publishedOut(p))
}

// admit books one message of the app and of the token, and tells what is left.
func (d *Door) admit(c *call) error {
	quotas, err := d.gateway.Admit(c.app, c.token, 1)
	api.ShowQuotas(c.Response().Header(), quotas)
	return err
}

func publishedOut(p gateway.Published) wire.Published {
	return wire.Published{ID: p.ID, Stored: p.Stored, Counts: wire.Counts(p.Counts)}
}

// keyHeader reads the idempotency key of the request; empty: it has none.
func (c *call) keyHeader() (string, error) {
	values := c.Request().Header.Values(idempotencyKey)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 || !usableKey(values[0]) {
		return "", diaphone.InvalidField("/"+idempotencyKey, "malformed",
			"the header %s has 1 to %d printable ASCII characters and stands once", idempotencyKey, MaxIdempotencyKey)
	}
	return values[0], nil
}

func usableKey(key string) bool {
	ok := key != "" && len(key) <= MaxIdempotencyKey
	for i := range len(key) {
		ok = ok && key[i] >= ' ' && key[i] <= '~'
	}
	return ok
}

// idempotency binds a key to what came with it. The hash covers the route, so that a
// key cannot match the body of another kind of request.
func (c *call) idempotency(key string, body []byte) storage.Idempotency {
	hash := sha256.New()
	hash.Write([]byte(c.Request().Method + " " + c.Path() + "\n"))
	hash.Write(body)
	return storage.Idempotency{Key: key, Body: [sha256.Size]byte(hash.Sum(nil))}
}

func messageOf(app diaphone.AppID, in *wire.NewMessage) (*diaphone.Message, error) {
	m := &diaphone.Message{
		App: app, To: diaphone.Audience(in.To), Notification: in.Notification, When: in.When, SendAt: in.SendAt.Time,
	}
	if c := in.Confirm; c != nil {
		m.Confirm = diaphone.Confirmation{Within: time.Duration(c.Within * float64(time.Second)), By: c.By}
	}
	if n := in.Notification; n != nil {
		if err := overridesAreObjects(n); err != nil {
			return nil, err
		}
	}
	if in.Event != nil {
		m.Event = &diaphone.Event{Name: in.Event.Name, Data: eventData(in.Event.Data), ExceptSocket: in.Event.ExceptSocket}
	}
	return m, nil
}

// eventData gives a JSON string's text, and of any other JSON the JSON.
func eventData(raw []byte) string {
	if len(raw) == 0 || raw[0] != '"' {
		return string(raw)
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil { // not after decode, which refuses such a string
		return string(raw)
	}
	return string(text)
}

// overridesAreObjects checks the kind of what providers merge later.
func overridesAreObjects(n *diaphone.Notification) error {
	if err := isObject("/notification/webpush", n.WebPush); err != nil {
		return err
	}
	if err := isObject("/notification/fcm", n.FCM); err != nil || n.APNs == nil {
		return err
	}
	if err := isObject("/notification/apns/aps", n.APNs.APS); err != nil {
		return err
	}
	return isObject("/notification/apns/data", n.APNs.Data)
}

func isObject(pointer string, raw []byte) error {
	if len(raw) == 0 || raw[0] == '{' {
		return nil
	}
	return diaphone.InvalidField(pointer, "wrong_type", "an object belongs here, this is %s", strict.Given(jsontext.Value(raw).Kind()))
}

// messageID reads the path parameter. Text that can be no id is simply not
// found: the caller need not care how ids are made.
func (c *call) messageID() (diaphone.MessageID, error) {
	v, err := c.param("message_id")
	if err != nil {
		return "", err
	}
	id := diaphone.MessageID(v)
	if _, ok := id.Bytes(); !ok {
		return "", diaphone.Errorf(diaphone.NotFound, "no message %q", strict.Clip(v))
	}
	return id, nil
}

func (d *Door) message(c *call) error {
	id, err := c.messageID()
	if err != nil {
		return err
	}
	r, err := d.gateway.Message(c.ctx(), c.app.ID, id)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, messageOut(&r))
}

func messageOut(r *storage.MessageReport) wire.Message {
	return wire.Message{
		ID: r.Message.ID, State: r.State, Counts: wire.Counts(r.Counts), Receipts: wire.ReceiptCounts(r.Receipts),
		To: wire.Audience(r.Message.To), When: r.Message.When,
		AcceptedAt: wire.At(r.Message.AcceptedAt), SendAt: wire.At(r.Message.SendAt), ExpiresAt: wire.At(r.Message.Expires), FinishedAt: wire.At(r.FinishedAt),
		CancelledAt: wire.At(r.CancelledAt),
	}
}

func (d *Door) cancelMessage(c *call) error {
	id, err := c.messageID()
	if err != nil {
		return err
	}
	r, err := d.gateway.Cancel(c.ctx(), c.app.ID, id)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, wire.Cancellation(r))
}
