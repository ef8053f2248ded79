package hooks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// The body of a request, as Pusher Channels has it
// (https://pusher.com/docs/channels/server_api/webhooks); id and seq are ours.
type (
	body struct {
		TimeMS int64   `json:"time_ms"` // when the first of the events was put into the log
		Events []event `json:"events"`
	}
	event struct {
		Name    diaphone.NoticeKind  `json:"name"`
		Channel diaphone.ChannelName `json:"channel"`
		User    diaphone.UserID      `json:"user_id,omitempty"`
		Event   string               `json:"event,omitempty"`
		Data    *string              `json:"data,omitempty"`
		Socket  diaphone.SocketID    `json:"socket_id,omitempty"`
		Count   *int                 `json:"subscription_count,omitempty"`
		ID      string               `json:"id"`
		Seq     uint64               `json:"seq"`
	}
)

// encode writes the body for some notices, of which there is at least one.
func encode(notices []storage.QueuedNotice) ([]byte, error) {
	b := body{TimeMS: notices[0].Notice.At.UnixMilli(), Events: make([]event, len(notices))}
	for i := range notices {
		n := &notices[i].Notice
		e := event{Name: n.Kind, Channel: n.Channel, User: n.User, Event: n.Event, Socket: n.Socket, ID: n.ID, Seq: notices[i].Seq}
		switch n.Kind {
		case diaphone.ClientEvent:
			e.Data = &n.Data
		case diaphone.SubscriptionCount:
			e.Count = &n.Count
		}
		b.Events[i] = e
	}
	return json.Marshal(b)
}

// sign gives the signature of a body, or of anything else.
func sign(secret diaphone.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// newRequest makes one attempt's request in Pusher's form.
func newRequest(ctx context.Context, app *diaphone.App, hook *diaphone.Webhook, body []byte, attempt int) (*http.Request, error) {
	r, err := post(ctx, hook, body, attempt)
	if err != nil {
		return nil, err
	}
	if key, ok := app.SigningKey(); ok {
		r.Header.Set("X-Pusher-Key", key.Key)
		r.Header.Set("X-Pusher-Signature", sign(key.Secret, body))
	}
	return r, nil
}

// post makes a request that is not signed yet. The headers that a receiver goes by are
// ours, whatever the webhook's own say.
func post(ctx context.Context, hook *diaphone.Webhook, body []byte, attempt int) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range hook.Headers {
		r.Header.Set(name, value.Reveal())
	}
	// Exactly so: Pusher's SDK for Node compares it as a whole.
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "diaphone")
	r.Header.Set("Diaphone-Attempt", strconv.Itoa(attempt))
	for _, name := range []string{"X-Pusher-Key", "X-Pusher-Signature", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		r.Header.Del(name)
	}
	return r, nil
}
