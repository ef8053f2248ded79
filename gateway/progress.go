package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// MaxWatches is how many may follow messages of one app at a time.
const MaxWatches = 200

// Watch follows one message. The zero value is no use; Close it.
type Watch struct {
	// Changed is readable when something of the message has changed since it was read
	// last: look at the message then.
	Changed <-chan struct{}

	knock chan struct{}
	of    storage.Ref
	all   *watches
}

// watches are those who follow messages.
type watches struct {
	count atomic.Int64 // so that nobody pays while nobody follows

	mu    sync.Mutex
	of    map[storage.Ref]map[*Watch]struct{}
	inApp map[diaphone.AppID]int
}

// Watch begins to follow a message, whether or not there is one: ask for it afterwards,
// and nothing is missed between. Limited: MaxWatches of the app's do already.
func (g *Gateway) Watch(app diaphone.AppID, id diaphone.MessageID) (*Watch, error) {
	all := &g.watches
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.inApp[app] >= MaxWatches {
		return nil, &diaphone.Error{Code: diaphone.Limited, RetryAfter: 10 * time.Second,
			Detail: "too many streams of the app follow messages already", Hint: "close some, or ask for the messages now and then"}
	}
	if all.of == nil {
		all.of, all.inApp = map[storage.Ref]map[*Watch]struct{}{}, map[diaphone.AppID]int{}
	}
	knock := make(chan struct{}, 1)
	w := &Watch{Changed: knock, knock: knock, of: storage.Ref{App: app, ID: id}, all: all}
	if all.of[w.of] == nil {
		all.of[w.of] = map[*Watch]struct{}{}
	}
	all.of[w.of][w] = struct{}{}
	all.inApp[app]++
	all.count.Add(1)
	return w, nil
}

// Close ends a watch. It is called once.
func (w *Watch) Close() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	delete(w.all.of[w.of], w)
	if len(w.all.of[w.of]) == 0 {
		delete(w.all.of, w.of)
	}
	if w.all.inApp[w.of.App]--; w.all.inApp[w.of.App] == 0 {
		delete(w.all.inApp, w.of.App)
	}
	w.all.count.Add(-1)
}

// Changed tells those who follow a message that something of it has been recorded. It
// never blocks.
func (g *Gateway) Changed(app diaphone.AppID, id diaphone.MessageID) {
	all := &g.watches
	if all.count.Load() == 0 {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	for w := range all.of[storage.Ref{App: app, ID: id}] {
		select {
		case w.knock <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}
