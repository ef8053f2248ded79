package hub

import (
	"time"

	"github.com/diaphone-dev/diaphone"
)

// Remembered is what is still known of whether a user has taken a message live. The zero
// value: nothing, for the message was for all, or is too old, or the process is younger.
type Remembered struct {
	Known   bool            // the message is remembered, and so is who was live when it came
	Live    bool            // the user was
	How     diaphone.Taking // how it is proven that they have it, live or on a phone; empty: it is not
	By      diaphone.Proof  // what was to prove it live
	Pending bool            // it may still be proven, until
	Until   time.Time       // no proof counts later
}

// Remembered tells what is known of a user and a message. It is forgotten after a
// quarter of an hour, or sooner when there is much to remember.
func (h *Hub) Remembered(app diaphone.AppID, id diaphone.MessageID, u diaphone.UserID) Remembered {
	a := h.awaiting.find(messageRef{app, id})
	if a == nil {
		return Remembered{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := Remembered{Known: true, By: a.by, Until: a.until}
	open := time.Now().Before(a.until)
	if who := a.takers[u]; who != nil {
		r.Live, r.How = who.live, who.how
		r.Pending = open && who.how == "" && who.sessions > 0
	} else {
		r.Pending = open && !a.published
	}
	return r
}
