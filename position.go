package diaphone

import (
	"strconv"
	"strings"
	"time"
)

// Position is a point in the history of a channel. Who is there has heard every
// event up to it. Serials of one channel grow, though not by one each time; those
// of different epochs have nothing to do with each other.
type Position struct {
	Epoch  string // changes when history is lost, as with a restart
	Serial uint64
}

// String is for the wire: "1f0c4b9a77d2e583:42". The zero Position is empty.
func (p Position) String() string {
	if p.Epoch == "" {
		return ""
	}
	return p.Epoch + ":" + strconv.FormatUint(p.Serial, 10)
}

// maxEpoch is more than any epoch has.
const maxEpoch = 32

// ParsePosition reads what String wrote. The empty string is the zero Position,
// from which no history leads on.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	epoch, digits, _ := strings.Cut(s, ":")
	serial, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || epoch == "" || len(epoch) > maxEpoch {
		return Position{}, Errorf(Invalid, "position %q: give one that came with an event or an answer, unchanged", clip(s))
	}
	return Position{Epoch: epoch, Serial: serial}, nil
}

// PastEvent is an event that history has kept.
type PastEvent struct {
	Event *Event
	At    time.Time // when it was published
}

// Past is a piece of a channel's history.
type Past struct {
	Events   []PastEvent // oldest first
	Position Position    // to go on from
	Complete bool        // nothing is missing between where it was asked from and Position
}
