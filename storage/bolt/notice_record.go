package bolt

import (
	"slices"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// noticeKinds are the words that notice records abbreviate. Only ever append to these.
func noticeKinds() []string {
	return []string{
		string(diaphone.ChannelOccupied), string(diaphone.ChannelVacated), string(diaphone.MemberAdded),
		string(diaphone.MemberRemoved), string(diaphone.ClientEvent), string(diaphone.CacheMiss),
		string(diaphone.SubscriptionCount),
	}
}

// noticeRecord encodes a notice. Like a dead letter it begins with the time that a
// sweep asks for.
func noticeRecord(n *diaphone.Notice) record {
	r := newRecord(64 + len(n.ID) + len(n.Data))
	r.time(n.At)
	writeNotice(&r, n)
	return r
}

func decodeNotice(r reader) (diaphone.Notice, error) {
	at := r.time()
	n := readNotice(&r)
	n.At = at
	return n, r.end()
}

// deadRecord encodes a dead letter.
func deadRecord(n *diaphone.Notice, reason string, buried time.Time) record {
	r := newRecord(80 + len(n.ID) + len(n.Data) + len(reason))
	r.time(buried)
	r.text(reason)
	r.time(n.At)
	writeNotice(&r, n)
	return r
}

func decodeDead(r reader) (l storage.DeadLetter, err error) {
	l.Buried, l.Reason = r.time(), r.text()
	at := r.time()
	l.Notice = readNotice(&r)
	l.Notice.At = at
	return l, r.end()
}

// writeNotice writes everything but the time.
func writeNotice(r *record, n *diaphone.Notice) {
	r.symbol(noticeKinds(), string(n.Kind))
	r.packed(n.ID)
	r.text(string(n.Channel))
	r.text(string(n.User))
	r.text(string(n.Socket))
	r.text(n.Event)
	r.text(n.Data)
	r.number(n.Count)
}

func readNotice(r *reader) diaphone.Notice {
	return diaphone.Notice{
		Kind:    diaphone.NoticeKind(r.symbol(noticeKinds())),
		ID:      r.packed(),
		Channel: diaphone.ChannelName(r.text()),
		User:    diaphone.UserID(r.text()),
		Socket:  diaphone.SocketID(r.text()),
		Event:   r.text(),
		Data:    r.text(),
		Count:   r.number(),
	}
}

// queueKey is what every key of a webhook's queue begins with.
func queueKey(id diaphone.WebhookID) key { return appKey(id.App).text(id.Name) }

// placeKey is the key of one notice or dead letter.
func placeKey(queue key, seq uint64) key { return slices.Clip(queue).order(seq) }

// queueOf cuts the key of a notice, a dead letter or a tally to that of its queue.
func queueOf(k []byte) (queue key, ok bool) {
	_, rest, ok1 := cutText(k)
	_, rest, ok2 := cutText(rest)
	return k[:len(k)-len(rest)], ok1 && ok2
}

// parseQueue is the inverse of queueKey.
func parseQueue(k []byte) diaphone.WebhookID {
	app, k, _ := cutText(k)
	name, _, _ := cutText(k)
	return diaphone.WebhookID{App: diaphone.AppID(app), Name: name}
}

func standKey(s storage.Stand) key {
	return appKey(s.App).text(string(s.Channel)).text(string(s.User))
}

// parseStand is the inverse of standKey.
func parseStand(k []byte) storage.Stand {
	app, k, _ := cutText(k)
	channel, k, _ := cutText(k)
	user, _, _ := cutText(k)
	return storage.Stand{App: diaphone.AppID(app), Channel: diaphone.ChannelName(channel), User: diaphone.UserID(user)}
}
