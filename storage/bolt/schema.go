package bolt

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// bucket is one of the store's buckets. Its number is part of every checksum and
// never changes; its name is what the file says.
type bucket byte

const (
	inMeta       bucket = iota + 1 // name → schema version, epoch, probe; its sequence is the store order
	inDevices                      // app|num → device
	inIDs                          // index by device id
	inTokens                       // index by kind and token
	inUsers                        // index by user
	inChannels                     // index by channel
	inMessages                     // app|message → message
	inProgress                     // app|message → counts, plan cursor
	inPlans                        // order → message whose planning is unfinished; across apps, oldest first
	inRosters                      // app|message|page → the page's deliveries
	inQueue                        // lane|class|due|message|page|order → batch
	inHistory                      // app|message|page|order → results of one settle
	inIdem                         // app|hash of key → body hash, message
	inFinished                     // accepted at|app|message → nothing; across apps, oldest first, for Sweep
	inQuarantine                   // bucket|key → a value that could not be read
	inTallies                      // app|webhook → its last number, how many are pending and dead
	inNotices                      // app|webhook|number → notice
	inDead                         // app|webhook|number → notice that was given up, and why
	inStanding                     // app|channel|user → nothing; what backends have been told
	inSchedule                     // due|app|message → nothing; across apps, soonest first
	inReceipts                     // app|message|device → what it has reported
	inReported                     // app|message → how many devices have reported what
	bucketEnd
)

func (b bucket) String() string {
	switch b {
	case inMeta:
		return "meta"
	case inDevices:
		return "devices"
	case inIDs:
		return "ids"
	case inTokens:
		return "tokens"
	case inUsers:
		return "users"
	case inChannels:
		return "channels"
	case inMessages:
		return "messages"
	case inProgress:
		return "progress"
	case inPlans:
		return "plans"
	case inRosters:
		return "rosters"
	case inQueue:
		return "queue"
	case inHistory:
		return "history"
	case inIdem:
		return "idem"
	case inFinished:
		return "finished"
	case inQuarantine:
		return "quarantine"
	case inTallies:
		return "tallies"
	case inNotices:
		return "notices"
	case inDead:
		return "dead"
	case inStanding:
		return "standing"
	case inSchedule:
		return "schedule"
	case inReceipts:
		return "receipts"
	case inReported:
		return "reported"
	}
	return fmt.Sprintf("bucket-%d", byte(b))
}

// growsAtEnd: new keys of these buckets come last, so a split may leave a full
// page behind; the default would leave them half empty for ever.
func (b bucket) growsAtEnd() bool {
	switch b {
	case inDevices, inMessages, inProgress, inPlans, inRosters, inQueue, inHistory, inFinished, inNotices, inDead:
		return true
	}
	return false
}

const fillAtEnd = 0.9

// schemaVersion is what this binary reads and writes. Each migration raises it.
func schemaVersion(migrations []migration) uint64 { return uint64(1 + len(migrations)) }

// migration brings a file from one schema version to the next. It runs inside
// the transaction that also writes the new version: all or nothing.
type migration struct {
	name string
	run  func(*txn) error
}

// migrations, oldest first: number i brings version i+1 to i+2. Never reorder,
// never remove.
func migrations() []migration {
	return []migration{
		// There is nothing to change: new buckets are made at every opening. But a
		// binary that knows none of them would leave what stands to grow false.
		{"the logs of webhooks", func(*txn) error { return nil }},
		// Nor here. But to an earlier binary a device with a secret would be damaged.
		{"devices with secrets", func(*txn) error { return nil }},
		// Likewise: one that does not know the notices of messages would put them aside.
		{"notices of messages, receipts", func(*txn) error { return nil }},
	}
}

func schemaKey() key { return key("schema") }

// prepare brings the file to this binary's schema, or refuses.
func prepare(t *txn, steps []migration) error {
	for b := inMeta; b < bucketEnd; b++ {
		if _, err := t.tx.CreateBucketIfNotExists([]byte(b.String())); err != nil {
			return fmt.Errorf("create bucket %s: %w", b, err)
		}
	}
	have, err := readSchema(t, schemaVersion(steps))
	if err != nil {
		return err
	}
	for ; have < schemaVersion(steps); have++ {
		step := steps[have-1]
		if err := step.run(t); err != nil {
			return fmt.Errorf("migrate from schema %d (%s): %w", have, step.name, err)
		}
	}
	r := newRecord(2)
	r.uint(have)
	return t.put(inMeta, schemaKey(), r)
}

// readSchema gives the file's schema version; an empty file has known.
func readSchema(t *txn, known uint64) (uint64, error) {
	r, ok, err := t.get(inMeta, schemaKey())
	if err != nil {
		return 0, fmt.Errorf("read the schema version: %w", err)
	}
	if !ok {
		return known, nil
	}
	have := r.uint()
	switch {
	case r.end() != nil || have == 0:
		return 0, fmt.Errorf("read the schema version: %w", errBad)
	case have > known:
		return 0, fmt.Errorf("this data folder was written by a newer diaphone (schema %d, this one knows %d): upgrade, or restore a backup", have, known)
	}
	return have, nil
}

// newer refuses a newer file before anything is written to it.
func newer(tx *bbolt.Tx, known uint64) error {
	if tx.Bucket([]byte(inMeta.String())) == nil {
		return nil
	}
	_, err := readSchema(&txn{tx: tx}, known)
	return err
}
