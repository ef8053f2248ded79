package bolt

import (
	"crypto/sha256"
	"fmt"
)

// verify reads one record as whoever needs it would, key and all, and gives an
// error if that fails. It never panics, whatever the bytes are.
func verify(b bucket, k, value []byte) error {
	r, err := open(b, k, value)
	if err != nil {
		return err
	}
	if !keyFits(b, k) {
		return fmt.Errorf("%w: its key makes no sense", errBad)
	}
	return decodeAny(b, r)
}

func decodeAny(b bucket, r reader) (err error) {
	switch b {
	case inMeta:
		r.uint()
		err = r.end()
	case inDevices:
		_, err = decodeDevice(r, "", 0)
	case inIDs, inTokens, inUsers, inChannels:
		_, err = decodePairs(r)
	case inMessages:
		_, err = decodeMessage(r, message{})
	case inProgress:
		_, err = decodeProgress(r)
	case inPlans:
		_, err = decodePlan(r)
	case inRosters:
		_, err = decodeRoster(r)
	case inQueue:
		_, err = decodeBatch(r)
	case inHistory:
		_, err = decodeSteps(r)
	case inIdem:
		_, _, err = decodeIdem(r, "")
	case inTallies:
		_, err = decodeTally(r)
	case inNotices:
		_, err = decodeNotice(r)
	case inDead:
		_, err = decodeDead(r)
	case inReceipts:
		_, err = decodeReceipts(r)
	case inReported:
		_, err = decodeReceiptCounts(r)
	case inFinished, inStanding, inSchedule:
		err = r.end()
	}
	return err
}

// keyFits tells whether a key has the parts that the keys of its bucket have.
func keyFits(b bucket, k []byte) bool {
	switch b {
	case inDevices:
		_, rest, ok1 := cutText(k)
		_, rest, ok2 := cutOrder(rest)
		return ok1 && ok2 && len(rest) == 0
	case inIDs, inTokens, inUsers, inChannels:
		_, _, ok := parseChunkKey(k)
		return ok
	case inPlans:
		return len(k) == 8
	case inQueue:
		_, ok := parseTicket(k)
		return ok
	case inIdem:
		_, rest, ok := cutText(k)
		return ok && len(rest) == sha256.Size
	case inFinished:
		return len(k) > 8 && messageKeyFits(b, k[8:])
	case inSchedule:
		_, _, ok := parseSchedule(k)
		return ok
	case inMessages, inProgress, inRosters, inHistory, inReceipts, inReported:
		return messageKeyFits(b, k)
	case inTallies, inNotices, inDead:
		queue, ok := queueOf(k)
		if !ok || b == inTallies {
			return ok && len(queue) == len(k)
		}
		_, rest, ok := cutOrder(k[len(queue):])
		return ok && len(rest) == 0
	case inStanding:
		rest, ok := k, true
		for range 3 {
			if ok {
				_, rest, ok = cutText(rest)
			}
		}
		return ok && len(rest) == 0
	}
	return true
}

// messageKeyFits is keyFits for keys that begin with a message.
func messageKeyFits(b bucket, k []byte) bool {
	_, rest, ok := cutMessage(k)
	switch b {
	case inRosters:
		return ok && len(rest) == 4
	case inHistory:
		if !ok || len(rest) < 4 {
			return false
		}
		_, rest, ok = cutOrder(rest[4:])
	case inReceipts:
		_, rest, ok = cutText(rest)
	}
	return ok && len(rest) == 0
}
