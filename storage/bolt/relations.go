package bolt

import (
	"bytes"
	"fmt"

	"github.com/diaphone-dev/diaphone"
)

// relations compares records that must fit each other, and takes note of those
// that do not. Records that cannot be read are not its business.
type relations struct {
	t    *txn
	ends *Faults
}

func (c *relations) check() {
	c.devices()
	pending := c.queue()
	c.progress(pending)
	c.belongings()
	c.receipts()
	c.notices()
}

// loose notes one loose end.
func (c *relations) loose(b bucket, k []byte, what string, args ...any) {
	c.ends.add(recordPlace(b, k), fmt.Sprintf(what, args...))
}

// there tells whether a bucket has a key.
func (c *relations) there(b bucket, k key) bool { return c.t.bucket(b).Get(k) != nil }

// devices: every device is found by all that it has, and the indexes hold nothing else.
func (c *relations) devices() {
	indexes := []bucket{inIDs, inTokens, inUsers, inChannels}
	found := map[bucket]int{}
	c.t.scan(inDevices, nil, nil, func(k, v []byte) bool {
		app, rest, _ := cutText(k)
		num, _, _ := cutOrder(rest)
		r, err := open(inDevices, k, v)
		if err != nil {
			return true
		}
		d, err := decodeDevice(r, diaphone.AppID(app), num)
		if err != nil {
			return true
		}
		for _, in := range indexes {
			for _, hash := range in.hashes(d) {
				if c.indexed(index{c.t, in, d.App}, pair{hash, num}) {
					found[in]++
				} else {
					c.loose(inDevices, k, "the index %s does not have it", in)
				}
			}
		}
		return true
	})
	for _, in := range indexes {
		have := 0
		c.t.scan(in, nil, nil, func(k, v []byte) bool {
			pairs, _ := readAs(c.t, in, k, v, decodePairs)
			have += len(pairs)
			return true
		})
		if have > found[in] {
			c.ends.add("index "+in.String(), fmt.Sprintf("%d entries lead to no device that has the thing", have-found[in]))
		}
	}
}

func (c *relations) indexed(x index, p pair) bool {
	there := false
	err := x.after(p.hash, p.num-1, func(num uint64) bool {
		there = num == p.num
		return false
	})
	return err == nil && there
}

// queue: what waits has a message, and a place in its plan. It gives the number of
// deliveries that wait, by message.
func (c *relations) queue() map[message]int64 {
	pending := map[message]int64{}
	c.t.scan(inQueue, nil, nil, func(k, v []byte) bool {
		ticket, ok := parseTicket(k)
		items, sound := readAs(c.t, inQueue, k, v, decodeBatch)
		if !ok || !sound {
			return true
		}
		of := ticket.message()
		pending[of] += int64(len(items))
		if !c.there(inMessages, of.key()) {
			c.loose(inQueue, k, "its message is not there")
		} else if _, err := c.t.rosterFor(of, ticket.page, items); err != nil {
			c.loose(inQueue, k, "its page of the message's plan is not there")
		}
		return true
	})
	return pending
}

// progress: what is counted as waiting waits, what is unplanned is going to be
// planned, what is finished is going to be swept.
func (c *relations) progress(pending map[message]int64) {
	c.t.scan(inProgress, nil, nil, func(k, v []byte) bool {
		of, _, ok := cutMessage(k)
		p, sound := readAs(c.t, inProgress, k, v, decodeProgress)
		if !ok || !sound {
			return true
		}
		if have := pending[of]; have != p.counts.Pending {
			c.loose(inProgress, k, "it counts %d deliveries as pending, and %d are in the queue", p.counts.Pending, have)
		}
		delete(pending, of)
		switch {
		case !c.there(inMessages, of.key()):
			c.loose(inProgress, k, "its message is not there")
		case p.scheduled && !c.there(inSchedule, scheduleKey(p.accepted, of)):
			c.loose(inProgress, k, "it is scheduled, and nobody will start it")
		case !p.planned && !p.scheduled && !c.there(inPlans, planKey(p.order)):
			c.loose(inProgress, k, "it is not planned to its end, and nobody will do that")
		case p.finished != 0 && !c.there(inFinished, finishedKey(p.accepted, of)):
			c.loose(inProgress, k, "it is finished, and will never be removed")
		case p.finished == 0 && p.planned && p.counts.Pending == 0:
			c.loose(inProgress, k, "nothing is left to do, and it is not finished")
		}
		return true
	})
	for of := range pending {
		c.loose(inMessages, of.key(), "deliveries of it wait, and nothing counts them")
	}
}

// receipts: what devices have reported is counted.
func (c *relations) receipts() {
	counted := c.t.countReceipts(nil)
	c.t.scan(inReported, nil, nil, func(k, v []byte) bool {
		of, _, ok := cutMessage(k)
		have, sound := readAs(c.t, inReported, k, v, decodeReceiptCounts)
		if ok && sound && have != counted[of] {
			c.loose(inReported, k, "it counts %+v, and devices have reported %+v", have, counted[of])
		}
		delete(counted, of)
		return true
	})
	for of := range counted {
		c.loose(inReceipts, of.key(), "nothing counts what devices have reported of it")
	}
}

// belongings: what belongs to a message is not alone.
func (c *relations) belongings() {
	for _, b := range []bucket{inMessages, inRosters, inHistory, inReceipts, inReported} {
		var last message
		c.t.scan(b, nil, nil, func(k, _ []byte) bool {
			of, _, ok := cutMessage(k)
			if ok && of != last && !c.there(inProgress, of.key()) {
				c.loose(b, k, "nothing says how far its message has come")
			}
			last = of
			return true
		})
	}
	c.t.scan(inFinished, nil, nil, func(k, _ []byte) bool {
		if !c.there(inProgress, bytes.Clone(k[min(8, len(k)):])) {
			c.loose(inFinished, k, "its message is not there")
		}
		return true
	})
	c.t.scan(inSchedule, nil, nil, func(k, _ []byte) bool {
		_, of, ok := parseSchedule(k)
		if p, there, err := c.t.progress(of); ok && err == nil && (!there || !p.scheduled) {
			c.loose(inSchedule, k, "its message waits for no time, or is not there")
		}
		return true
	})
	c.t.scan(inPlans, nil, nil, func(k, v []byte) bool {
		of, sound := readAs(c.t, inPlans, k, v, decodePlan)
		if p, ok, err := c.t.progress(of); sound && err == nil && (!ok || p.planned) {
			c.loose(inPlans, k, "its message is planned, or not there")
		}
		return true
	})
	c.t.scan(inIdem, nil, nil, func(k, v []byte) bool {
		app, _, _ := cutText(k)
		r, err := open(inIdem, k, v)
		if err != nil {
			return true
		}
		if _, of, err := decodeIdem(r, diaphone.AppID(app)); err == nil && !c.there(inMessages, of.key()) {
			c.loose(inIdem, k, "its message is not there")
		}
		return true
	})
}

// notices: the tallies of webhooks count what is there.
func (c *relations) notices() {
	counted := map[string]*tally{}
	for _, b := range []bucket{inNotices, inDead} {
		c.t.scan(b, nil, nil, func(k, _ []byte) bool {
			queue, ok := queueOf(k)
			if !ok {
				return true
			}
			q := counted[string(queue)]
			if q == nil {
				q = &tally{}
				counted[string(queue)] = q
			}
			if b == inNotices {
				q.pending++
			} else {
				q.dead++
			}
			seq, _, _ := cutOrder(k[len(queue):])
			q.last = max(q.last, seq)
			return true
		})
	}
	c.t.scan(inTallies, nil, nil, func(k, v []byte) bool {
		q, sound := readAs(c.t, inTallies, k, v, decodeTally)
		have := counted[string(k)]
		if have == nil {
			have = &tally{}
		}
		delete(counted, string(k))
		if sound && (q.pending != have.pending || q.dead != have.dead || q.last < have.last) {
			c.loose(inTallies, k, "it counts %d notices, %d dead, to number %d; there are %d, %d, to %d",
				q.pending, q.dead, q.last, have.pending, have.dead, have.last)
		}
		return true
	})
	for queue := range counted {
		c.loose(inTallies, []byte(queue), "the log of a webhook has none")
	}
}
