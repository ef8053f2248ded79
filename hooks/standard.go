package hooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// The body of a request by the rules of Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
// "Payload structure"); seq is ours.
type (
	standardBody struct {
		Type      diaphone.NoticeKind `json:"type"`
		Timestamp string              `json:"timestamp"` // when it happened
		Seq       uint64              `json:"seq"`
		Data      json.RawMessage     `json:"data"`
	}
	// channelData is the data of a notice that is about a channel.
	channelData struct {
		Channel diaphone.ChannelName `json:"channel"`
		User    diaphone.UserID      `json:"user_id,omitempty"`
		Event   string               `json:"event,omitempty"`
		Data    *string              `json:"data,omitempty"`
		Socket  diaphone.SocketID    `json:"socket_id,omitempty"`
		Count   *int                 `json:"subscription_count,omitempty"`
	}
)

// millisUTC is RFC 3339 to the millisecond.
const millisUTC = "2006-01-02T15:04:05.000Z07:00"

func encodeStandard(q *storage.QueuedNotice) ([]byte, error) {
	n := &q.Notice
	b := standardBody{Type: n.Kind, Timestamp: n.At.UTC().Format(millisUTC), Seq: q.Seq, Data: json.RawMessage(n.Data)}
	if n.Kind.OfChannels() {
		data := channelData{Channel: n.Channel, User: n.User, Event: n.Event, Socket: n.Socket}
		switch n.Kind {
		case diaphone.ClientEvent:
			data.Data = &n.Data
		case diaphone.SubscriptionCount:
			data.Count = &n.Count
		}
		var err error
		if b.Data, err = json.Marshal(data); err != nil {
			return nil, err
		}
	}
	return json.Marshal(b)
}

// standardRequest makes one attempt's request. Its timestamp is that of the attempt.
func standardRequest(ctx context.Context, hook *diaphone.Webhook, q *storage.QueuedNotice, attempt int, now time.Time) (*http.Request, error) {
	body, err := encodeStandard(q)
	if err != nil {
		return nil, err
	}
	r, err := post(ctx, hook, body, attempt)
	if err != nil {
		return nil, err
	}
	signature, err := signStandard(hook.Secrets, q.Notice.ID, now.Unix(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Webhook-Id", q.Notice.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", signature)
	return r, nil
}

// signStandard gives a signature for each secret, so that a receiver may know either of
// two while they are exchanged.
func signStandard(secrets []diaphone.Secret, id string, unix int64, body []byte) (string, error) {
	all := make([]string, len(secrets))
	for i, s := range secrets {
		key, err := SigningKey(s)
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(unix, 10) + "."))
		mac.Write(body)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " "), nil
}

// secretPrefix marks the secrets of Standard Webhooks.
const secretPrefix = "whsec_"

// SigningKey gives the bytes that a secret of a standard webhook stands for.
func SigningKey(s diaphone.Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(s.Reveal(), secretPrefix)
	if !ok {
		return nil, errors.New("the secret does not begin with " + secretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil { // its text would repeat some of the secret
		return nil, errors.New("the secret is not base64 behind " + secretPrefix)
	}
	return key, nil
}

// NewSecret gives a secret for a standard webhook out of random bytes.
func NewSecret(random [32]byte) diaphone.Secret {
	return diaphone.Secret(secretPrefix + base64.StdEncoding.EncodeToString(random[:]))
}
