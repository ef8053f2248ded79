package control

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

const defaultLimit = 100

// message is what a phone would show, and all that came with it.
type message struct {
	Device    string            `json:"device"`
	Provider  string            `json:"provider"`
	Title     string            `json:"title"`
	Body      string            `json:"body"`
	Headers   map[string]string `json:"headers"`
	Payload   json.RawMessage   `json:"payload"`
	Received  time.Time         `json:"received_at"`
	Delivered *time.Time        `json:"delivered_at,omitempty"` // when it had to wait for the phone
}

func describeEntry(e *phone.Entry) message {
	m := message{
		Device: e.Device, Provider: e.Provider, Received: e.Received.UTC(),
		Headers: make(map[string]string, len(e.Headers)), Payload: e.Payload,
	}
	for _, h := range e.Headers {
		m.Headers[h.Name] = h.Value
	}
	if !e.Delivered.IsZero() {
		at := e.Delivered.UTC()
		m.Delivered = &at
	}
	switch e.Provider {
	case fault.APNs:
		m.Title, m.Body = apnsText(e.Payload)
	case fault.FCM:
		m.Title, m.Body = fcmText(e.Payload)
	case fault.WebPush:
		m.Title, m.Body = webText(e.Payload)
	}
	return m
}

type text struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

// apnsText reads the alert, which is a string or an object. A payload that shows
// nothing has none.
func apnsText(payload []byte) (title, body string) {
	var p struct {
		Aps struct {
			Alert json.RawMessage `json:"alert"`
		} `json:"aps"`
	}
	if json.Unmarshal(payload, &p) != nil || len(p.Aps.Alert) == 0 {
		return "", ""
	}
	if json.Unmarshal(p.Aps.Alert, &body) == nil {
		return "", body
	}
	var t text
	_ = json.Unmarshal(p.Aps.Alert, &t) // anything else shows nothing
	return t.Title, t.Body
}

// fcmText reads the notification as Android does: its own block over the common
// one. A data message shows nothing by itself.
func fcmText(payload []byte) (title, body string) {
	var p struct {
		Message struct {
			Notification text `json:"notification"`
			Android      struct {
				Notification text `json:"notification"`
			} `json:"android"`
		} `json:"message"`
	}
	_ = json.Unmarshal(payload, &p) // FCM checked it
	common, own := p.Message.Notification, p.Message.Android.Notification
	return orFirst(own.Title, []string{common.Title}), orFirst(own.Body, []string{common.Body})
}

// webText reads a notification as Safari does: Declarative Web Push bears a mark
// and has a title. What a page's own code makes of anything else is its affair.
func webText(payload []byte) (title, body string) {
	var p struct {
		Mark         int  `json:"web_push"`
		Notification text `json:"notification"`
	}
	const declarative = 8030
	if json.Unmarshal(payload, &p) != nil || p.Mark != declarative || p.Notification.Title == "" {
		return "", ""
	}
	return p.Notification.Title, p.Notification.Body
}

// getInbox writes entry by entry, since all that an inbox holds would be large as
// one document.
func (a *api) getInbox(w http.ResponseWriter, r *http.Request) {
	limit := defaultLimit
	if given := r.URL.Query().Get("limit"); given != "" {
		var err error
		if limit, err = strconv.Atoi(given); err != nil || limit < 1 {
			Error(w, http.StatusBadRequest, "limit: must be a whole number of 1 or more, not "+strconv.Quote(given))
			return
		}
	}
	entries := a.Fleet.Inbox().Newest(r.URL.Query().Get("device"), limit)
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write([]byte(`{"data":[`))
	out := json.NewEncoder(w)
	for i := range entries {
		if i > 0 && err == nil {
			_, err = w.Write([]byte(","))
		}
		if err == nil {
			err = out.Encode(describeEntry(&entries[i]))
		}
		if err != nil {
			return // the client is gone
		}
	}
	_, _ = w.Write([]byte("]}\n"))
}

func (a *api) deleteInbox(r *http.Request) (any, error) {
	a.Fleet.Inbox().Clear(r.URL.Query().Get("device"))
	return nil, nil
}
