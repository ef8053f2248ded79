//go:build !linux

package bolt

import (
	"testing"

	"go.uber.org/goleak"
)

// The tests with processes and descriptors of their own run on Linux.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
