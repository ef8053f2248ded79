package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/diaphone-dev/diaphone"
	"go.etcd.io/bbolt"
)

// Salvaged is what Salvage has done.
type Salvaged struct {
	Records     int64   `json:"records"`      // sound, and in the new file
	Damaged     int64   `json:"damaged"`      // reached, and left out
	BrokenPages int64   `json:"broken_pages"` // what was below them could not be reached
	Report      *Report `json:"report"`       // of the new file
}

// Salvage makes a backup at out of every sound record that a damaged store still
// has. Indexes are made anew. What it cannot do: without one of the two first pages
// there is no way to any record, and what is below a broken page is lost; pages are
// not guessed at, because those that are free hold records of the past.
func Salvage(path, out string, force bool) (done *Salvaged, err error) {
	release, err := keepOut(path)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := vacant(out, force); err != nil {
		return nil, err
	}
	from, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the damaged store: %w", err)
	}
	defer from.Close()
	head, err := readHead(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w; nothing can be salvaged", path, ErrNoStore, err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), filepath.Base(out)+newSuffix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the new store: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &salvage{done: &Salvaged{}, queues: map[string]bool{}}
	built := filepath.Join(dir, "store")
	if err := s.build(pages{file: from, head: head}, built); err != nil {
		return nil, fmt.Errorf("salvage %s: %w", path, err)
	}
	s.done.Report, err = SaveBackup(out, force, func(w io.Writer) error { return BackupFile(built, w, func(int64) {}) })
	return s.done, err
}

// salvage is one run of Salvage.
type salvage struct {
	done   *Salvaged
	db     *bbolt.DB
	batch  []rescued
	size   int
	order  uint64 // the greatest number of the store order that was seen
	queues map[string]bool
	err    error // the first that writing gave
}

type rescued struct {
	in   bucket
	k, v []byte
}

// salvageBatch is how much is written in one transaction.
const salvageBatch = 4 << 20

func (s *salvage) build(from pages, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(initialise(f, migrations()), f.Close()); err != nil {
		return err
	}
	// What is built here is copied once it is whole: it need not survive a crash.
	s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	names := map[string]bucket{}
	for b := inMeta; b < bucketEnd; b++ {
		names[b.String()] = b
	}
	from.fault = func(uint64, string) { s.done.BrokenPages++ }
	from.sequence = func(name string, n uint64) {
		if names[name] == inMeta {
			s.order = max(s.order, n)
		}
	}
	from.visit = func(name string, k, v []byte) {
		if b := names[name]; b != 0 && s.err == nil {
			s.record(b, k, v)
		}
	}
	from.walk()
	s.flush()
	if s.err != nil {
		return s.err
	}
	return s.db.Update(s.finish)
}

// record takes a record over if it is sound.
func (s *salvage) record(b bucket, k, v []byte) {
	switch {
	case b == inQuarantine:
		return
	case verify(b, k, v) != nil:
		s.done.Damaged++
		return
	case b == inMeta && bytes.Equal(k, schemaKey()):
		if r, err := open(b, k, v); err == nil && r.uint() > schemaVersion(migrations()) {
			s.err = ErrTooNew
		}
		return
	}
	s.done.Records++
	s.order = max(s.order, orderIn(b, k, v))
	if isIndex(b) {
		return // made anew, out of the devices
	}
	if b == inNotices || b == inDead || b == inTallies {
		queue, _ := queueOf(k)
		s.queues[string(queue)] = true
	}
	s.batch = append(s.batch, rescued{b, bytes.Clone(k), bytes.Clone(v)})
	if s.size += len(k) + len(v); s.size >= salvageBatch {
		s.flush()
	}
}

// orderIn gives the greatest number of the store order that a sound record has.
func orderIn(b bucket, k, v []byte) (order uint64) {
	r, err := open(b, k, v)
	if err != nil {
		return 0
	}
	switch b {
	case inDevices:
		_, rest, _ := cutText(k)
		num, _, _ := cutOrder(rest)
		if d, err := decodeDevice(r, "", num); err == nil {
			order = max(num, d.lost, d.userSince)
			for _, since := range d.since {
				order = max(order, since)
			}
		}
	case inProgress:
		if p, err := decodeProgress(r); err == nil {
			order = p.order
		}
	case inPlans:
		order = binary.BigEndian.Uint64(k)
	case inQueue:
		ticket, _ := parseTicket(k)
		order = ticket.order
	case inHistory:
		_, rest, _ := cutMessage(k)
		order, _, _ = cutOrder(rest[4:])
	}
	return order
}

func (s *salvage) flush() {
	if s.err == nil {
		s.err = s.db.Update(func(tx *bbolt.Tx) error {
			t := &txn{tx: tx}
			for _, r := range s.batch {
				if err := t.rescue(r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s.batch, s.size = s.batch[:0], 0
}

// rescue writes one record as it was: its checksum still holds.
func (t *txn) rescue(r rescued) error {
	if err := t.bucket(r.in).Put(r.k, r.v); err != nil {
		return fmt.Errorf("put into %s: %w", r.in, err)
	}
	if r.in != inDevices {
		return nil
	}
	app, rest, _ := cutText(r.k)
	num, _, _ := cutOrder(rest)
	d, ok, err := t.device(diaphone.AppID(app), num)
	if err != nil || !ok {
		return err
	}
	for _, in := range []bucket{inIDs, inTokens, inUsers, inChannels} {
		for _, hash := range in.hashes(d) {
			if err := t.index(in, d.App).add(pair{hash, num}); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish makes what is derived from records true again.
func (s *salvage) finish(tx *bbolt.Tx) error {
	t := &txn{tx: tx}
	for queue := range s.queues {
		_, known, err := t.readTally(key(queue))
		if err == nil {
			err = t.recount(key(queue), !known)
		}
		if err != nil {
			return err
		}
	}
	if err := t.recountAllReceipts(); err != nil {
		return err
	}
	return t.bucket(inMeta).SetSequence(s.order)
}
