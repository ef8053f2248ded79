package bolt

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Report is what Inspect has found. It names records by fingerprints, never by
// their keys, which hold names of users and devices.
type Report struct {
	Path     string         `json:"path"`
	Bytes    int64          `json:"bytes"`
	TakenAt  *time.Time     `json:"taken_at,omitempty"` // of a backup whose seal is there
	Seal     string         `json:"seal"`               // SealNone, SealGood, SealSpent or SealBroken
	Schema   uint64         `json:"schema"`
	Buckets  []BucketReport `json:"buckets"`
	Complete bool           `json:"complete"` // every page could be read

	// Quarantined records were found damaged and put aside by a gateway, once.
	Quarantined int64 `json:"quarantined"`
	// Damage is what cannot be read, or reads otherwise than it was written.
	Damage Faults `json:"damage"`
	// LooseEnds are sound records that do not fit each other. They do no harm; they
	// are what is left where damaged records were put aside.
	LooseEnds Faults `json:"loose_ends"`
}

// What a file says of itself at its end.
const (
	SealNone   = "none"   // a store
	SealGood   = "good"   // a backup, every byte as it was
	SealSpent  = "spent"  // a backup that has been used as a store since
	SealBroken = "broken" // a backup that is not what was written
)

// BucketReport counts the records of one bucket.
type BucketReport struct {
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
}

// Faults counts faults of one kind, and has the first of them.
type Faults struct {
	Count int64   `json:"count"`
	First []Fault `json:"first"`
}

// Fault is one of them.
type Fault struct {
	Place string `json:"place"`
	What  string `json:"what"`
}

const maxFaults = 50

func (f *Faults) add(place, what string) {
	if f.Count++; len(f.First) < maxFaults {
		f.First = append(f.First, Fault{place, what})
	}
}

// Clean tells that nothing is wrong at all.
func (r *Report) Clean() bool { return r.Damage.Count == 0 && r.LooseEnds.Count == 0 }

// place names a record.
func recordPlace(b bucket, k []byte) string {
	sum := sha256.Sum256(k)
	return b.String() + " record " + hex.EncodeToString(sum[:6])
}
