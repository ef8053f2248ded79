package apns

import (
	"net/http"
	"time"
)

// conn is one connection of the pool. The pool's lock guards it.
//
// APNs allows one stream on a new connection until a request with a valid
// provider token has succeeded, and raises the limit then ("Sending notification
// requests to APNs"). Go assumes 100 until it hears otherwise, so a burst on a
// new connection is refused stream by stream. Hence cold: one request at a time
// until the first authenticated answer.
type conn struct {
	cc      *http.ClientConn
	token   hold
	warm    bool // APNs has taken our token on it
	probing bool // cold, and its one request is under way
	retired bool // takes no more requests, closes when those under way have ended
	limit   int  // streams that the server allowed when last a reservation succeeded; 0: unknown
}

// reserve takes a stream. When it cannot although the server allows more than
// are in use, the connection is going away: after a GOAWAY, Err stays nil and
// only Reserve fails (net/http, Go 1.26). A lowered limit looks the same, so a
// draining connection may come back.
func (c *conn) reserve() (ok, draining bool) {
	if c.retired || !c.warm && c.probing {
		return false, false
	}
	// Under the pool's lock nobody else reserves: what is in flight can only get
	// less between the two calls.
	before := c.cc.InFlight()
	if c.cc.Reserve() != nil {
		if !c.warm {
			return false, before == 0
		}
		return false, before < c.limit
	}
	if c.warm {
		c.limit = before + 1 + c.cc.Available()
	} else {
		c.probing = true
	}
	return true, false
}

// release gives back a stream that reserve took and nobody used.
func (c *conn) release() {
	c.cc.Release()
	c.probing = false
}

// present gives the provider token for the next request.
func (c *conn) present(s *signer, now time.Time) (bearer, error) {
	h, err := s.renew(c.token, now)
	c.token = h
	return h.bearer, err
}
