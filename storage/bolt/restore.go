package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Restore makes a backup the store at path: checked before, written as a whole or
// not at all. A store that is there is ErrExists; with force it keeps its contents
// under another name, which is given. ErrInUse: a gateway runs on it.
//
// Everything is again as it was when the backup began, but for one thing: the
// numbers of webhooks' notices go on at the time, because backends may have seen
// greater ones than the backup knows of.
func Restore(backup, path string, force bool) (report *Report, aside string, err error) {
	if report, err = inspectBackup(backup); err != nil {
		return report, "", fmt.Errorf("restore %s: %w", backup, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return report, "", fmt.Errorf("create the data folder: %w", err)
	}
	release, err := keepOut(path)
	if err != nil {
		return report, "", err
	}
	defer release()
	if err := vacant(path, force); err != nil {
		return report, "", err
	}
	err = writeWhole(path, force, func(f *os.File) error {
		if err := copyStore(backup, f); err != nil {
			return err
		}
		if err := renumber(f.Name(), time.Now()); err != nil {
			return err
		}
		if r, err := Inspect(f.Name()); err != nil || r.Damage.Count > 0 {
			return errors.Join(fmt.Errorf("what was written is not what the backup has: look for a fault of the disk"), err)
		}
		aside, err = keepAside(path)
		return err
	})
	return report, aside, err
}

// keepOut keeps gateways from the store at path, if there is one, until release.
func keepOut(path string) (release func(), err error) {
	var db *bbolt.DB
	if _, err := os.Stat(path); err == nil {
		// Reading alone takes the lock before it looks at a byte; a damaged store is
		// an error after that, and no reason to stop.
		err := protect(func() (err error) {
			db, err = bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: defaultLockTimeout})
			return err
		})
		if errors.Is(err, berrors.ErrTimeout) {
			return nil, fmt.Errorf("%s: %w: stop that one first", path, ErrInUse)
		}
		if err != nil {
			db = nil
		}
	}
	return func() {
		if db != nil {
			_ = db.Close()
		}
	}, nil
}

// copyStore writes the store that is in a backup, without the seal.
func copyStore(backup string, to io.Writer) error {
	f, err := os.Open(backup)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	s, err := readSeal(f, info.Size())
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	if _, err := io.Copy(to, io.NewSectionReader(f, 0, s.bytes)); err != nil {
		return fmt.Errorf("copy the backup: %w", err)
	}
	return nil
}

// renumber lets the numbers of every webhook's log go on where none has been.
func renumber(path string, now time.Time) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("open what was restored: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Update(func(tx *bbolt.Tx) error {
		t := &txn{tx: tx}
		if t.bucket(inTallies) == nil {
			return nil // of a time before webhooks
		}
		var queues []key
		t.scan(inTallies, nil, nil, func(k, _ []byte) bool {
			queues = append(queues, bytes.Clone(k))
			return true
		})
		for _, queue := range queues {
			q, err := t.tally(queue)
			if err != nil {
				return err
			}
			q.last = max(q.last, uint64(now.UnixMilli()))
			if err := t.putTally(queue, q); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepAside gives the store that is to be replaced a second name. Empty: there is none.
func keepAside(path string) (aside string, err error) {
	if _, err := os.Lstat(path); err != nil {
		return "", nil //nolint:nilerr // nothing is there
	}
	aside = path + ".before-restore-" + time.Now().UTC().Format("20060102T150405.000")
	// A link leaves a store in place at every moment: a gateway that starts between
	// two renames would make an empty one.
	if os.Link(path, aside) == nil {
		return aside, nil
	}
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("keep the store that is there: %w", err)
	}
	return aside, nil
}
