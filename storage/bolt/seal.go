package bolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A backup is a store file with a seal behind its last page: a checksum of all
// that is before it. bbolt has no checksums of its own, and those of our records
// cover no page that bbolt makes of them; with the seal one flipped bit anywhere
// is noticed, and so is an end that is missing. bbolt looks at no byte behind its
// pages, so a backup can also be opened as it is.
type seal struct {
	bytes int64  // of the store in front of it
	tx    uint64 // the last transaction in it
	taken time.Time
	sum   [sha256.Size]byte
}

const (
	sealMagic = "diaphone backup\n"
	sealBytes = len(sealMagic) + 3*8 + sha256.Size + checksumBytes
)

// Why a seal does not vouch for its file.
var (
	errNoSeal     = errors.New("it has no seal at its end: it is no backup, or its end is missing")
	errSealSpent  = errors.New("it has been used as a store since it was made")
	errSealBroken = errors.New("its contents are not what was sealed")
)

func (s *seal) text() []byte {
	b := []byte(sealMagic)
	b = binary.BigEndian.AppendUint64(b, uint64(s.bytes))
	b = binary.BigEndian.AppendUint64(b, s.tx)
	b = binary.BigEndian.AppendUint64(b, uint64(s.taken.UnixMilli()))
	b = append(b, s.sum[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// readSeal takes the seal off the end of a file, without looking at what it seals.
func readSeal(file io.ReaderAt, size int64) (s seal, err error) {
	b := make([]byte, sealBytes)
	if size < int64(sealBytes) {
		return seal{}, errNoSeal
	}
	if _, err := file.ReadAt(b, size-int64(sealBytes)); err != nil {
		return seal{}, fmt.Errorf("read the seal: %w", err)
	}
	numbers, ok := bytes.CutPrefix(b, []byte(sealMagic))
	if !ok {
		return seal{}, errNoSeal
	}
	s.bytes = int64(binary.BigEndian.Uint64(numbers))
	s.tx = binary.BigEndian.Uint64(numbers[8:])
	s.taken = fromMillis(int64(binary.BigEndian.Uint64(numbers[16:])))
	copy(s.sum[:], numbers[24:])
	if !bytes.Equal(s.text(), b) {
		return seal{}, errSealBroken
	}
	return s, nil
}

// checkSeal compares a file with its seal.
func checkSeal(file io.ReaderAt, size int64) (seal, error) {
	s, err := readSeal(file, size)
	if err != nil {
		return seal{}, err
	}
	// A store that is used keeps the seal for a while, behind pages that have changed.
	if head, err := readHead(file); err == nil && head.tx > s.tx {
		return s, errSealSpent
	}
	if s.bytes != size-int64(sealBytes) {
		return s, errSealBroken
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, s.bytes)); err != nil {
		return s, fmt.Errorf("read what is sealed: %w", err)
	}
	if !bytes.Equal(sum.Sum(nil), s.sum[:]) {
		return s, errSealBroken
	}
	return s, nil
}

// Backup writes the store as it is now, with a seal. announce hears of the size
// before the first byte. Writers are not held up, but until it ends the pages that
// they replace cannot be used again, and the file grows by them: what the writer
// at the other end must have is a bound on its time.
func (s *Store) Backup(ctx context.Context, w io.Writer, announce func(bytes int64)) error {
	return s.viewOnce(ctx, func(t *txn) error { return writeSealed(t.tx, w, announce) })
}

// BackupFile does for the file of a gateway that does not run what Store.Backup
// does for one that does. It changes nothing.
func BackupFile(path string, w io.Writer, announce func(bytes int64)) (err error) {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no store to back up: %w", err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: %v", path, ErrDamaged, p)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: defaultLockTimeout})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%s: %w", path, ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: %w", path, err)
	case err != nil:
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bbolt.Tx) error { return writeSealed(tx, w, announce) })
}

func writeSealed(tx *bbolt.Tx, w io.Writer, announce func(bytes int64)) error {
	announce(tx.Size() + int64(sealBytes))
	sum := sha256.New()
	n, err := tx.WriteTo(io.MultiWriter(w, sum))
	if err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	s := seal{bytes: n, tx: uint64(tx.ID()), taken: time.Now()}
	copy(s.sum[:], sum.Sum(nil))
	if _, err := w.Write(s.text()); err != nil {
		return fmt.Errorf("write the seal: %w", err)
	}
	return nil
}
