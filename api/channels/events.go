package channels

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/storage"
)

// maxBatch is how many events a batch may have (Pusher's limit).
const maxBatch = 10

// trigger is one event as a server SDK sends it.
type trigger struct {
	Name     string         `json:"name"`
	Data     jsontext.Value `json:"data"`
	Channels []string       `json:"channels"`
	Channel  string         `json:"channel"` // PHP's SDK sends it when there is one; channels wins
	SocketID string         `json:"socket_id"`
	Info     string         `json:"info"`
}

func (d *Door) postEvent(c echo.Context, in *call) error {
	t, err := triggered(in)
	if err != nil {
		return err
	}
	m, err := t.message(in.app)
	if err != nil {
		return err
	}
	// Counted before the event goes out, and apart from it, as hosted does.
	answer := d.eventInfo(in.app, m.To.Channels, t.Info)
	if err := d.publish(c, in.app, m); err != nil {
		return err
	}
	return success(c, answer)
}

// triggered reads an event from the body or, when there is none, from the query:
// Pusher's REST reference allows both, though no SDK uses the latter.
func triggered(in *call) (t trigger, err error) {
	if _, named := in.query.find("name"); len(in.body) > 0 || !named {
		return t, decode(in.body, &t)
	}
	t = trigger{
		Name:     in.query.get("name"),
		Channels: in.channels,
		Channel:  in.query.get("channel"),
		SocketID: in.query.get("socket_id"),
		Info:     in.query.get("info"),
	}
	if data, ok := in.query.find("data"); ok {
		t.Data = quote(data)
	}
	return t, nil
}

func (d *Door) postBatch(c echo.Context, in *call) error {
	var batch struct {
		Batch []trigger `json:"batch"`
	}
	if err := decode(in.body, &batch); err != nil {
		return err
	}
	if n := len(batch.Batch); n == 0 || n > maxBatch {
		return refusef(http.StatusBadRequest, "A batch has 1 to %d events, this one has %d", maxBatch, n)
	}
	messages := make([]*diaphone.Message, len(batch.Batch))
	infos := make([]any, len(batch.Batch))
	asked := false
	for i, t := range batch.Batch {
		m, err := t.message(in.app)
		if err != nil {
			return err // of the whole batch, before any of it is published
		}
		messages[i] = m
		infos[i] = d.attributes(in.app, m.To.Channels[0], t.Info)
		asked = asked || t.Info != ""
	}
	if err := d.publish(c, in.app, messages...); err != nil {
		return err
	}
	if !asked {
		return success(c, nil)
	}
	return success(c, map[string]any{"batch": infos})
}

// publish hands on events that have been checked, all or none of them.
func (d *Door) publish(c echo.Context, app *diaphone.App, messages ...*diaphone.Message) error {
	quotas, err := d.gateway.Admit(app, nil, len(messages))
	api.ShowQuotas(c.Response().Header(), quotas)
	for i := 0; i < len(messages) && err == nil; i++ {
		_, err = d.gateway.Publish(c.Request().Context(), messages[i], storage.Idempotency{})
	}
	return err
}

// message makes what the gateway understands, and checks it, so that of a batch
// with one fault nothing goes out.
func (t *trigger) message(app *diaphone.App) (*diaphone.Message, error) {
	if len(t.Data) == 0 || string(t.Data) == "null" {
		return nil, refusef(http.StatusBadRequest, "Missing parameter: data")
	}
	if len(t.Channels) == 0 && t.Channel != "" {
		t.Channels = []string{t.Channel}
	}
	if len(t.Channels) == 0 {
		return nil, refusef(http.StatusBadRequest, "Missing parameter: channels")
	}
	m := &diaphone.Message{
		App:   app.ID,
		When:  diaphone.Always,
		Event: &diaphone.Event{Name: t.Name, Data: plainData(t.Data), ExceptSocket: diaphone.SocketID(t.SocketID)},
	}
	for _, name := range t.Channels {
		if c := diaphone.ChannelName(name); !slices.Contains(m.To.Channels, c) {
			m.To.Channels = append(m.To.Channels, c)
		}
	}
	return m, oversize(app, m.Validate(app.Limits.MaxEventBytes()))
}

// oversize gives hosted's answer to data over the limit.
func oversize(app *diaphone.App, err error) error {
	if err == nil {
		return nil
	}
	var e *diaphone.Error
	if errors.As(err, &e) && slices.ContainsFunc(e.Fields, func(f diaphone.FieldError) bool { return f.Code == "too_large" }) {
		return refusef(http.StatusRequestEntityTooLarge, "The data content of this event exceeds the allowed maximum (%d bytes)", app.Limits.MaxEventBytes())
	}
	return err
}

// plainData gives the event's data as it will be delivered. SDKs send a string;
// any other JSON value goes out as its compact text.
func plainData(raw jsontext.Value) string {
	if s, ok := text(raw); ok {
		return s
	}
	var b bytes.Buffer
	_ = json.Compact(&b, raw) // raw came out of a valid document
	return b.String()
}

// eventInfo answers the info of an event: nil when nothing was asked.
func (d *Door) eventInfo(app *diaphone.App, channels []diaphone.ChannelName, info string) any {
	if info == "" {
		return nil
	}
	all := make(map[diaphone.ChannelName]any, len(channels))
	for _, c := range channels {
		all[c] = d.attributes(app, c, info)
	}
	return map[string]any{"channels": all}
}

// attributes are the counts that were asked for and apply to the channel.
func (d *Door) attributes(app *diaphone.App, c diaphone.ChannelName, info string) map[string]int {
	found, _ := d.hub.Channel(app.ID, c)
	counts := map[string]int{}
	for _, want := range strings.Split(info, ",") {
		switch {
		case want == infoUsers && c.IsPresence():
			counts[want] = found.Members
		case want == infoSubscriptions:
			counts[want] = found.Sessions
		}
	}
	return counts
}

func decode(body []byte, into any) error {
	if !utf8.Valid(body) {
		return refusef(http.StatusBadRequest, "The request body is not valid UTF-8")
	}
	if err := unmarshal(body, into); err != nil {
		return refusef(http.StatusBadRequest, "The request body is not the JSON that is expected here: %s", clip(err.Error()))
	}
	return nil
}

// success answers 200, and exactly {} where nothing was asked: Node's SDK tests
// compare the body, and PHP's and Python's insist on the status.
func success(c echo.Context, answer any) error {
	if answer == nil {
		return c.JSONBlob(http.StatusOK, []byte("{}"))
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, body)
}
