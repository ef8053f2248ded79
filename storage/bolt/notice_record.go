package bolt

import (
	"slices"
	"strings"
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
		string(diaphone.MessageFinished), string(diaphone.TokenDead), string(diaphone.UserUnreachable),
		string(diaphone.CredentialFailed), string(diaphone.CredentialRecovered),
	}
}

// noticeRecord encodes a notice and since when it waits. Like that of a dead letter
// it begins with the time that a sweep asks for.
func noticeRecord(n *diaphone.Notice, since time.Time) record {
	r := newRecord(64 + len(n.ID) + len(n.Data))
	writeNotice(&r, n, since)
	return r
}

// decodeNotice is the inverse of noticeRecord; the number is in the key.
func decodeNotice(r reader) (storage.QueuedNotice, error) {
	q := readNotice(&r)
	return q, r.end()
}

// deadRecord encodes a dead letter.
func deadRecord(q *storage.QueuedNotice, reason string, buried time.Time) record {
	r := newRecord(80 + len(q.Notice.ID) + len(q.Notice.Data) + len(reason))
	r.time(buried)
	r.text(reason)
	writeNotice(&r, &q.Notice, q.Since)
	return r
}

// decodeDead is the inverse of deadRecord; the number is in the key.
func decodeDead(r reader) (storage.DeadLetter, error) {
	l := storage.DeadLetter{Buried: r.time(), Reason: r.text()}
	l.QueuedNotice = readNotice(&r)
	return l, r.end()
}

func writeNotice(r *record, n *diaphone.Notice, since time.Time) {
	r.time(since)
	r.int(millis(n.At) - millis(since))
	r.symbol(noticeKinds(), string(n.Kind))
	writeNoticeID(r, n.ID)
	r.text(string(n.Channel))
	r.text(string(n.User))
	r.text(string(n.Socket))
	r.text(n.Event)
	r.text(n.Data)
	r.number(n.Count)
}

func readNotice(r *reader) (q storage.QueuedNotice) {
	since := r.int()
	q.Since = fromMillis(since)
	q.Notice = diaphone.Notice{
		At:      fromMillis(since + r.int()),
		Kind:    diaphone.NoticeKind(r.symbol(noticeKinds())),
		ID:      readNoticeID(r),
		Channel: diaphone.ChannelName(r.text()),
		User:    diaphone.UserID(r.text()),
		Socket:  diaphone.SocketID(r.text()),
		Event:   r.text(),
		Data:    r.text(),
		Count:   r.number(),
	}
	return q
}

// Ids of notices are made as those of messages are, behind a prefix of their own.
const (
	noticePrefix  = "ntc_"
	messagePrefix = "msg_"
)

// writeNoticeID writes such an id in 16 bytes, half of its text.
func writeNoticeID(r *record, id string) {
	rest, ok := strings.CutPrefix(id, noticePrefix)
	b, made := diaphone.MessageID(messagePrefix + rest).Bytes()
	if !ok || !made {
		r.byte(0)
		r.text(id)
		return
	}
	r.byte(1)
	r.raw(b[:])
}

func readNoticeID(r *reader) string {
	switch r.byte() {
	case 0:
		return r.text()
	case 1:
		b := [16]byte{}
		copy(b[:], r.raw(len(b)))
		return noticePrefix + strings.TrimPrefix(string(diaphone.MessageIDFromBytes(b)), messagePrefix)
	}
	r.fail("unknown form of an id")
	return ""
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
