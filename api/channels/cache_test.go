package channels

import (
	"net/http"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func (h *house) get(path, info string) string {
	h.t.Helper()
	status, text := h.do(request{method: http.MethodGet, path: path, query: map[string]string{"info": info}})
	if status != http.StatusOK {
		h.t.Fatalf("%s: %d %s", path, status, text)
	}
	return text
}

// All four kinds of cache channels: a miss, then the last event of the API under
// its own name, right behind the success.
func TestCacheChannels(t *testing.T) {
	h := openFor(t, whispering(), diaphone.Limits{})
	for channel, member := range map[string]string{
		"cache-x": "", "private-cache-x": "", "private-encrypted-cache-x": "", "presence-cache-x": `{"user_id":"1"}`,
	} {
		join := func() *visitor {
			v := h.join()
			v.ask(channel, member)
			if f := v.hear(); f.Event != "pusher_internal:subscription_succeeded" {
				t.Fatalf("heard %+v", f)
			}
			return v
		}
		first := join()
		first.expect("pusher:cache_miss", channel, "{}")
		if got := h.get("/apps/1/channels/"+channel, "cache"); got != `{"cache":null,"occupied":true}` {
			t.Error(got)
		}
		h.publish(`{"name":"old","data":"0","channel":"` + channel + `"}`)
		h.publish(`{"name":"e","data":"{\"a\":  \"<ü>\"}","channels":["news","` + channel + `"],"socket_id":"` + string(first.id) + `"}`)
		first.expect("old", channel, "0")
		if got := h.get("/apps/1/channels/"+channel, "cache"); got != `{"cache":{"data":"{\"a\":  \"\u003cü\u003e\"}","ttl":1800},"occupied":true}` {
			t.Error(got)
		}
		second := join()
		second.expect("e", channel, "{\"a\":  \"<ü>\"}")
		second.expectNothing()
		if channel != "cache-x" && channel != "private-encrypted-cache-x" {
			first.whisper("client-x", channel, "1") // reaches those who are here, and is not kept
			if f := second.hear(); f.Event != "client-x" {
				t.Errorf("heard %+v", f)
			}
		}
		// Whom the publisher excepted is a new subscriber now.
		first.emit("pusher:unsubscribe", map[string]string{"channel": channel})
		first.ask(channel, member)
		first.hear()
		first.expect("e", channel, "{\"a\":  \"<ü>\"}")
		first.expectNothing()
		for _, v := range []*visitor{first, second} {
			v.emit("pusher:unsubscribe", map[string]string{"channel": channel})
			v.expectNothing()
		}
		join().expect("e", channel, "{\"a\":  \"<ü>\"}") // kept while nobody was here
	}
}

func TestCacheIsKeptForNobody(t *testing.T) {
	h := open(t)
	h.publish(`{"name":"e","data":"1","channel":"cache-x"}`)
	if got := h.get("/apps/1/channels/cache-x", "cache"); got != `{"cache":{"data":"1","ttl":1800},"occupied":false}` {
		t.Error(got)
	}
	if got := h.get("/apps/1/channels", ""); got != `{"channels":{}}` {
		t.Error(got)
	}
	v := h.join()
	v.subscribe("cache-x")
	v.expect("e", "cache-x", "1")
	other := h.joinAs("/app/key2") // another app's channel of that name
	other.subscribe("cache-x")
	other.expect("pusher:cache_miss", "cache-x", "{}")
}
