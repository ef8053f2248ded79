package fallback

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gobwas/ws"
)

// frame is a WebSocket frame of the engine's. It fragments nothing.
type frame struct {
	op      ws.OpCode
	payload []byte
}

// cut takes the first frame off p; ok is false when it has not come whole.
func cut(p []byte) (f frame, rest []byte, ok bool) {
	r := bytes.NewReader(p)
	h, err := ws.ReadHeader(r)
	if err != nil || int64(r.Len()) < h.Length {
		return frame{}, p, false
	}
	body := p[len(p)-r.Len():]
	return frame{h.OpCode, body[:h.Length:h.Length]}, body[h.Length:], true
}

// appendFrame writes a frame as a client does. Its mask is zero: masks keep pages
// from choosing the bytes that proxies see (RFC 6455 §10.3), and none is between.
func appendFrame(b []byte, op ws.OpCode, payload []byte) []byte {
	w := bytes.NewBuffer(b)
	_ = ws.WriteHeader(w, ws.Header{Fin: true, OpCode: op, Masked: true, Length: int64(len(payload))}) // a Buffer never fails
	w.Write(payload)
	return w.Bytes()
}

// pingEvent is what a ping frame becomes. pusher-js answers it by itself.
const pingEvent = `{"event":"pusher:ping","data":"{}"}`

// isPong tells whether a message is the answer to pingEvent.
func isPong(message string) bool {
	const name = "pusher:pong"
	if !strings.Contains(message, name) {
		return false
	}
	var m struct {
		Event string `json:"event"`
	}
	return json.Unmarshal([]byte(message), &m) == nil && m.Event == name
}
