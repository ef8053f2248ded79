package channels

import (
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestSubscriptionCountEvents(t *testing.T) {
	h := openFor(t, diaphone.ChannelSettings{SubscriptionCount: true}, diaphone.Limits{})
	a, b := h.join(), h.join()
	a.subscribe("news")
	a.expect("pusher_internal:subscription_count", "news", `{"subscription_count":1}`)
	b.subscribe("news")
	for _, v := range []*visitor{a, b} {
		v.expect("pusher_internal:subscription_count", "news", `{"subscription_count":2}`)
	}
	if got := h.get("/apps/1/channels/news", "subscription_count"); got != `{"occupied":true,"subscription_count":2}` {
		t.Error(got)
	}
	_ = b.conn.Close()
	a.expect("pusher_internal:subscription_count", "news", `{"subscription_count":1}`)
}
