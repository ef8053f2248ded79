package bolt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/diaphone-dev/diaphone/storage"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Open opens the data file, or creates it and its folder. It holds a lock on the
// file until Close: a second process gets an error that says so. Errors name the
// path and what to do.
func Open(path string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
		if o.MaxBytes > 0 {
			o.Reserve = min(o.Reserve, o.MaxBytes/8)
		}
	}
	if o.hooks.planPage == 0 {
		o.hooks.planPage = storage.PlanPage
	}
	if o.hooks.maxDead == 0 {
		o.hooks.maxDead = storage.MaxDeadLetters
	}
	if o.hooks.fullRetry == 0 {
		o.hooks.fullRetry = fullRetry
	}
	if o.hooks.migrations == nil {
		o.hooks.migrations = migrations()
	}
	if err := create(path, o); err != nil {
		return nil, err
	}
	db, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		db: db, path: path, options: o, log: o.Logger, damage: newQuarantine(o.Logger),
		jobs: make(chan *job, maxGroup), done: make(chan struct{}), failed: make(chan struct{}),
	}
	epoch, err := begin(db, o.hooks.migrations)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the data file %s: %w", path, err), db.Close())
	}
	removeLeftovers(path)
	s.leases = newLeases(epoch)
	_ = db.View(func(tx *bbolt.Tx) error { // nothing in it fails
		s.backlog.count(&txn{tx: tx})
		return nil
	})
	go s.runWriter()
	return s, nil
}

// begin checks and migrates the schema and counts this opening: the epoch makes
// fences of an earlier opening worthless.
func begin(db *bbolt.DB, steps []migration) (epoch uint64, err error) {
	if err := db.View(func(tx *bbolt.Tx) error { return newer(tx, schemaVersion(steps)) }); err != nil {
		return 0, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		t := &txn{tx: tx}
		if err := prepare(t, steps); err != nil {
			return err
		}
		r, _, err := t.get(inMeta, key("epoch"))
		if err == nil {
			epoch = r.uint() // no record reads as 0
		}
		epoch++
		next := newRecord(4)
		next.uint(epoch)
		return t.put(inMeta, key("epoch"), next)
	})
	return epoch, err
}

// openFile opens an existing file. bbolt checks pages in a goroutine of its own
// when it opens for writing, where a broken page would end the process; so all of
// them are read before that, without bbolt.
func openFile(path string, o Options) (db *bbolt.DB, err error) {
	options := &bbolt.Options{
		Timeout: o.LockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		MaxSize: int(o.MaxBytes), OpenFile: o.hooks.openFile, InitialMmapSize: mapAhead,
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	if err := walk(path, o.LockTimeout); err != nil {
		return nil, explain(path, err)
	}
	db, err = bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, explain(path, err)
	}
	if o.MaxBytes > 0 {
		// The file grows by this much at a time; a step must fit into the reserve.
		db.AllocSize = int(min(int64(db.AllocSize), o.Reserve/4))
	}
	return db, nil
}

// walk looks at every page of the file and at every key.
func walk(path string, timeout time.Duration) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: timeout}) // for its lock
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	head, err := readHead(file)
	if err != nil {
		return fmt.Errorf("%w: %w", berrors.ErrInvalid, err)
	}
	var first error
	p := pages{file: file, head: head, visit: func(string, []byte, []byte) {}, fault: func(page uint64, what string) {
		first = cmp.Or(first, fmt.Errorf("%w: page %d: %s", berrors.ErrInvalid, page, what))
	}}
	p.walk()
	return first
}

func damaged(path string, cause error) error {
	return fmt.Errorf("the data file %s is damaged (%w): restore a backup, or salvage what can be read into a new file", path, cause)
}

// explain turns what bbolt and the system say into what an operator can act on.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("the data file %s is in use: another diaphone holds it; stop that one, or use another data folder", path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return damaged(path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the data file %s cannot be opened for writing: give this user the right to: %w", path, err)
	}
	return fmt.Errorf("open the data file %s: %w", path, err)
}

const newSuffix = ".new-"

// create makes the file if there is none. A power cut while bbolt writes its
// first pages can leave a file that nobody can open, so it is made whole under
// another name first. It is linked, not renamed, into place: a rename would
// replace a file that another process has made and opened meanwhile.
func create(path string, o Options) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() == 0 {
		return damaged(path, errors.New("it is empty"))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // openFile tells of any other error
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the data folder %s: %w", dir, err)
	}
	temp, err := os.CreateTemp(dir, filepath.Base(path)+newSuffix)
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be written: %w", dir, err)
	}
	defer func() {
		_ = temp.Close()
		_ = os.Remove(temp.Name())
	}()
	if err := initialise(temp, o.hooks.migrations); err != nil {
		return fmt.Errorf("create the data file %s: %w", path, err)
	}
	// Another process that was quicker has made the file, or removed this one as a
	// leftover after it did: open that.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create the data file %s: %w", path, err)
	}
	return syncFolder(dir)
}

// initialise makes an empty file a store of this schema, and durable: bbolt syncs
// contents, the file's length is left to us.
func initialise(file *os.File, steps []migration) error {
	db, err := bbolt.Open(file.Name(), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error { return prepare(&txn{tx: tx}, steps) })
	return errors.Join(err, db.Close(), file.Sync())
}

func syncFolder(dir string) (err error) {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make the folder %s durable: %w", dir, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("make the folder %s durable: %w", dir, err)
	}
	return nil
}

// removeLeftovers removes what a crash during creation left. The lock on the
// file is held, so nobody else's creation can still matter.
func removeLeftovers(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+newSuffix) {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}
