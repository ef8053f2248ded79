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

// mapAhead is how much address space is mapped for the file from the start: it
// costs nothing. To map more, bbolt waits for the end of every read transaction,
// and all writes with it: that of a backup may last for minutes. A file that
// outgrows this is mapped anew at each further gigabyte.
const mapAhead = 1 << (36 * (^uint(0) >> 63)) // 64 GiB; nothing on 32 bits
