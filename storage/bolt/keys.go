package bolt

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/diaphone-dev/diaphone"
)

// Keys are built of parts that cannot run into each other: text carries its
// length in front, numbers carry theirs. So a prefix of whole parts selects
// exactly what it names, and identical ids of two apps never meet.

// key is a composite key under construction.
type key []byte

func appKey(app diaphone.AppID) key { return key(nil).text(string(app)) }

func (k key) text(s string) key {
	return append(binary.AppendUvarint(k, uint64(len(s))), s...)
}

func (k key) raw(b ...byte) key { return append(k, b...) }

// order appends a number so that keys sort as their numbers do, in as few bytes
// as it needs: how many, then the number big endian.
func (k key) order(v uint64) key {
	n := 0
	for x := v; x > 0; x >>= 8 {
		n++
	}
	k = append(k, byte(n))
	for i := n - 1; i >= 0; i-- {
		k = append(k, byte(v>>(8*i)))
	}
	return k
}

func (k key) uint32(v uint32) key { return binary.BigEndian.AppendUint32(k, v) }
func (k key) uint64(v uint64) key { return binary.BigEndian.AppendUint64(k, v) }

// cutText takes a text part off the front of a key.
func cutText(k []byte) (s string, rest []byte, ok bool) {
	n, w := binary.Uvarint(k)
	if w <= 0 || n > uint64(len(k)-w) {
		return "", nil, false
	}
	return string(k[w : w+int(n)]), k[w+int(n):], true
}

// cutOrder takes an order part off the front of a key.
func cutOrder(k []byte) (v uint64, rest []byte, ok bool) {
	if len(k) == 0 || k[0] > 8 || len(k) < 1+int(k[0]) {
		return 0, nil, false
	}
	n := int(k[0])
	for _, b := range k[1 : 1+n] {
		v = v<<8 | uint64(b)
	}
	return v, k[1+n:], true
}

func deviceKey(app diaphone.AppID, num uint64) key { return appKey(app).order(num) }

func idempotencyKey(app diaphone.AppID, sum [sha256.Size]byte) key {
	return appKey(app).raw(sum[:]...)
}

// message is a message id in the form that keys use.
type message struct {
	app diaphone.AppID
	id  [16]byte
}

func messageOf(app diaphone.AppID, id diaphone.MessageID) (message, error) {
	b, ok := id.Bytes()
	if !ok {
		return message{}, noMessage(id)
	}
	return message{app, b}, nil
}

func noMessage(id diaphone.MessageID) error {
	return diaphone.Errorf(diaphone.NotFound, "no message %q", string(id[:min(len(id), 40)]))
}

// cutMessage takes app and message id off the front of a key.
func cutMessage(k []byte) (of message, rest []byte, ok bool) {
	app, rest, ok := cutText(k)
	if !ok || len(rest) < len(of.id) {
		return message{}, nil, false
	}
	of.app = diaphone.AppID(app)
	return of, rest[copy(of.id[:], rest):], true
}

func (m message) ref() (app diaphone.AppID, id diaphone.MessageID) {
	return m.app, diaphone.MessageIDFromBytes(m.id)
}

func (m message) key() key { return appKey(m.app).raw(m.id[:]...) }

// page is one page of a message's plan: its roster, and the prefix of its history.
func (m message) page(page uint32) key { return m.key().uint32(page) }

// step is one settle of one page.
func (m message) step(page uint32, order uint64) key { return m.page(page).order(order) }

func laneKey(l diaphone.Lane) key { return appKey(l.App).text(l.Credential) }

// The classes of a lane's queue, first come first.
const (
	classUrgent = byte(0) // audience of users and devices
	classBulk   = byte(1) // audience with channels
)

// ticket is what a queue key says. Keys sort by lane, class, due time.
type ticket struct {
	lane  diaphone.Lane
	class byte
	due   uint64 // Unix ms
	id    [16]byte
	page  uint32
	order uint64 // makes it unique
}

func (t *ticket) message() message { return message{t.lane.App, t.id} }

func (t *ticket) key() key {
	return laneKey(t.lane).raw(t.class).uint64(t.due).raw(t.id[:]...).uint32(t.page).uint64(t.order)
}

const ticketTail = 1 + 8 + 16 + 4 + 8

// parseTicket is the inverse of ticket.key.
func parseTicket(k []byte) (t ticket, ok bool) {
	app, rest, ok1 := cutText(k)
	credential, rest, ok2 := cutText(rest)
	if !ok1 || !ok2 || len(rest) != ticketTail {
		return ticket{}, false
	}
	t.lane = diaphone.Lane{App: diaphone.AppID(app), Credential: credential}
	t.class = rest[0]
	t.due = binary.BigEndian.Uint64(rest[1:])
	copy(t.id[:], rest[9:])
	t.page = binary.BigEndian.Uint32(rest[25:])
	t.order = binary.BigEndian.Uint64(rest[29:])
	return t, true
}
