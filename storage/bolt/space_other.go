//go:build !unix || solaris || aix || netbsd || openbsd

package bolt

// diskFree is not known here: a full disk shows when a commit fails.
func diskFree(string) (free int64, known bool) { return 0, false }

// mapAhead is nothing here: Windows makes the file as long as its mapping.
const mapAhead = 0
