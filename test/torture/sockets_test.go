package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/diaphone-dev/diaphone"
)

// said is the name of the publishers' events.
const said = "said"

// listen hears a channel until ctx ends, on one connection after the other.
func listen(ctx context.Context, url string, channel diaphone.ChannelName, b *book) {
	for ctx.Err() == nil {
		b.hear(connect(ctx, url, channel))
		pause(ctx, 20*time.Millisecond)
	}
}

// connect hears a channel until the connection ends.
func connect(ctx context.Context, url string, channel diaphone.ChannelName) (heard connection) {
	dialer := ws.Dialer{Timeout: 5 * time.Second}
	conn, early, _, err := dialer.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+"/app/app-key?protocol=7")
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	stream := struct {
		io.Reader
		io.Writer
	}{conn, conn}
	if early != nil {
		stream.Reader = early
	}
	if !greeted(conn, stream, channel) {
		return nil
	}
	for {
		var f struct{ Event, Data string }
		text, err := wsutil.ReadServerText(stream)
		if err != nil {
			return heard
		}
		var e event
		if json.Unmarshal(text, &f) == nil && f.Event == said {
			if n, _ := fmt.Sscanf(f.Data, "%s %d", &e.publisher, &e.n); n == 2 {
				heard = append(heard, e)
			}
		}
	}
}

// greeted waits for the gateway's greeting and subscribes.
func greeted(conn net.Conn, stream io.ReadWriter, channel diaphone.ChannelName) bool {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := wsutil.ReadServerText(stream); err != nil {
		return false
	}
	text := fmt.Appendf(nil, `{"event":"pusher:subscribe","data":{"channel":%q}}`, channel)
	if err := wsutil.WriteClientText(stream, text); err != nil {
		return false
	}
	return conn.SetDeadline(time.Time{}) == nil
}
