//go:build unix && !solaris && !aix && !netbsd && !openbsd

package bolt

import (
	"path/filepath"
	"syscall"
)

// diskFree gives the bytes that this user may still write to the path's disk.
func diskFree(path string) (free int64, known bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true //nolint:unconvert // uint32 on Darwin
}
