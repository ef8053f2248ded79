package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// What a file is when it is not a store that can be looked at.
var (
	ErrInUse    = errors.New("it is in use by a running diaphone")
	ErrNoStore  = errors.New("it is no diaphone store")
	ErrTooNew   = errors.New("it was written by a newer diaphone")
	ErrDamaged  = errors.New("it is damaged")
	ErrUnsealed = errors.New("only a file that `diaphone backup` or `diaphone salvage` has made can be restored; to put a copy of a store back, copy it")
)

// Inspect reads the whole of a store file that no gateway uses, or of a backup,
// and changes nothing. The error says why the file cannot be judged at all
// (ErrInUse, ErrNoStore, ErrTooNew, fs.ErrNotExist); damage is in the report. No
// file makes it panic.
func Inspect(path string) (report *Report, err error) {
	i := &inspection{path: path, report: &Report{Path: path}}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			i.report.Damage.add("file", fmt.Sprint(p))
			report, err = i.report, nil
		}
	}()
	if err := i.open(); err != nil {
		return nil, err
	}
	defer i.close()
	i.checkSeal()
	if err := i.readPages(); err != nil {
		return nil, err
	}
	if i.report.Complete {
		i.askBolt()
	}
	return i.report, nil
}

// inspectBackup is Inspect for a file that must be a sound backup. Loose ends do
// not keep it from being one: what is in it is what was in the store.
func inspectBackup(path string) (*Report, error) {
	r, err := Inspect(path)
	switch {
	case err != nil:
		return nil, err
	case r.Damage.Count > 0:
		first := r.Damage.First[0]
		return r, fmt.Errorf("%w: %s: %s (%d faults in all)", ErrDamaged, first.Place, first.What, r.Damage.Count)
	case r.Seal == SealSpent:
		return r, fmt.Errorf("%w: %w", errSealSpent, ErrUnsealed)
	case r.Seal != SealGood:
		return r, fmt.Errorf("%w; %w", errNoSeal, ErrUnsealed)
	}
	return r, nil
}

// inspection is one run of Inspect.
type inspection struct {
	path   string
	file   *os.File
	size   int64
	db     *bbolt.DB // nil: bbolt does not open it
	report *Report
	counts [bucketEnd]BucketReport
	schema []byte // its record
}

func (i *inspection) open() (err error) {
	if i.file, err = os.Open(i.path); err != nil {
		return fmt.Errorf("open %s: %w", i.path, err)
	}
	info, err := i.file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: %w: it is no file", i.path, ErrNoStore)
	case info.Size() == 0:
		err = fmt.Errorf("%s: %w: it is empty", i.path, ErrNoStore)
	}
	if err == nil {
		i.size = info.Size()
		i.report.Bytes = i.size
		err = i.lock()
	}
	if err != nil {
		_ = i.file.Close()
	}
	return err
}

// lock has bbolt open the file, for its lock and for its own opinion later.
func (i *inspection) lock() (err error) {
	err = protect(func() error {
		i.db, err = bbolt.Open(i.path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: defaultLockTimeout})
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%s: %w: stop that one, or look at a backup that it has given", i.path, ErrInUse)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: %w", i.path, err)
	case err != nil:
		i.db = nil
	}
	return nil
}

func (i *inspection) close() {
	if i.db != nil {
		_ = i.db.Close()
	}
	_ = i.file.Close()
}

func (i *inspection) checkSeal() {
	s, err := checkSeal(i.file, i.size)
	switch {
	case err == nil:
		i.report.Seal = SealGood
	case errors.Is(err, errNoSeal):
		i.report.Seal = SealNone
	case errors.Is(err, errSealSpent):
		i.report.Seal = SealSpent
	default:
		i.report.Seal = SealBroken
		i.report.Damage.add("seal", err.Error())
	}
	if !s.taken.IsZero() {
		i.report.TakenAt = &s.taken
	}
}

// readPages walks all pages and verifies every record in them.
func (i *inspection) readPages() error {
	head, err := readHead(i.file)
	if err != nil {
		return fmt.Errorf("%s: %w: %w; it is another kind of file, or its beginning is lost", i.path, ErrNoStore, err)
	}
	i.report.Complete = true
	broken := func(page uint64, what string) {
		i.report.Complete = false
		i.report.Damage.add(fmt.Sprintf("page %d", page), what)
	}
	if i.size < head.bytes() {
		broken(uint64(i.size)/head.pageSize, fmt.Sprintf("the file ends here, and should have %d pages", head.pages))
	}
	names := map[string]bucket{}
	for b := inMeta; b < bucketEnd; b++ {
		names[b.String()] = b
	}
	p := pages{file: i.file, head: head, fault: broken}
	p.visit = func(name string, k, v []byte) {
		if b, ok := names[name]; ok {
			i.record(b, k, v)
		} else {
			i.report.LooseEnds.add("bucket", fmt.Sprintf("a record in a bucket %q that is not one of ours", name))
		}
	}
	p.walk()
	for b := inMeta; b < bucketEnd; b++ {
		i.counts[b].Name = b.String()
		i.report.Buckets = append(i.report.Buckets, i.counts[b])
	}
	i.report.Quarantined = i.counts[inQuarantine].Records
	return i.judgeSchema()
}

func (i *inspection) record(b bucket, k, v []byte) {
	n := &i.counts[b]
	n.Records++
	n.Bytes += int64(len(k) + len(v))
	if b == inQuarantine {
		return
	}
	if err := verify(b, k, v); err != nil {
		i.report.Damage.add(recordPlace(b, k), err.Error())
		return
	}
	if b == inMeta && string(k) == string(schemaKey()) {
		i.schema = append([]byte(nil), v...)
	}
}

// judgeSchema tells whose file this is.
func (i *inspection) judgeSchema() error {
	known := schemaVersion(migrations())
	if i.schema != nil {
		r, err := open(inMeta, schemaKey(), i.schema)
		if err != nil {
			return err
		}
		i.report.Schema = r.uint()
	}
	switch {
	case i.report.Schema > known:
		return fmt.Errorf("%s: %w (schema %d, this one knows %d): use that one", i.path, ErrTooNew, i.report.Schema, known)
	case i.schema == nil && i.counts[inMeta].Records > 0:
		i.report.Damage.add("meta", "no sound record says which schema the file has")
	case i.schema == nil && i.report.Complete:
		return fmt.Errorf("%s: %w: it is a bbolt file of something else", i.path, ErrNoStore)
	}
	return nil
}

// askBolt has bbolt check the file too, and compares records with each other. Both
// need sound pages.
func (i *inspection) askBolt() {
	if i.db == nil {
		i.report.Damage.add("file", "bbolt does not open it")
		return
	}
	err := i.db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			i.report.Damage.add("bbolt", err.Error())
		}
		t := &txn{tx: tx}
		for b := inMeta; b < bucketEnd; b++ {
			if t.bucket(b) == nil {
				if i.report.Schema == schemaVersion(migrations()) {
					i.report.Damage.add("bucket "+b.String(), "it is missing")
				}
				return nil // an older file: the next start brings it up to date
			}
		}
		(&relations{t: t, ends: &i.report.LooseEnds}).check()
		return nil
	})
	if err != nil {
		i.report.Damage.add("file", err.Error())
	}
}
