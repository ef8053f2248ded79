package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// ErrExists says that there is a file where a new one should go.
var ErrExists = errors.New("there is a file already")

// SaveBackup makes the file at path out of what receive writes, or leaves all as
// it was. Only a backup whose seal and whose records are sound takes the place, and
// not before it is on the disk. force replaces a file that is there; without it
// that is ErrExists. The report is there whenever the backup could be read.
func SaveBackup(path string, force bool, receive func(io.Writer) error) (report *Report, err error) {
	if err := vacant(path, force); err != nil {
		return nil, err
	}
	err = writeWhole(path, force, func(f *os.File) error {
		if err := receive(f); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if report, err = inspectBackup(f.Name()); err != nil {
			return fmt.Errorf("the backup is of no use: %w", err)
		}
		return nil
	})
	return report, err
}

// vacant says ErrExists early, before there is work to lose.
func vacant(path string, force bool) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%w: %s", ErrExists, path)
	}
	return nil
}

// writeWhole makes a file that is there as a whole or not at all: under another
// name beside it, durable, then in its place. Nobody but this user can read it.
func writeWhole(path string, replace bool, fill func(*os.File) error) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+newSuffix)
	if err != nil {
		return fmt.Errorf("the folder %s cannot be written: %w", dir, err)
	}
	defer func() {
		_ = temp.Close()
		_ = os.Remove(temp.Name())
	}()
	if err := errors.Join(fill(temp), temp.Sync()); err != nil {
		if slices.ContainsFunc(noRoom(), func(code syscall.Errno) bool { return errors.Is(err, code) }) {
			return fmt.Errorf("the disk of %s is full; nothing is left of %s: %w", dir, filepath.Base(path), err)
		}
		return err
	}
	if err := place(temp.Name(), path, replace); err != nil {
		return err
	}
	return syncFolder(dir)
}

// place gives a file its name. Only a link tells for sure that nothing was there;
// some file systems have none.
func place(temp, path string, replace bool) error {
	if !replace {
		switch err := os.Link(temp, path); {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return fmt.Errorf("%w: %s", ErrExists, path)
		}
		if err := vacant(path, false); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("put %s into its place: %w", path, err)
	}
	return nil
}
