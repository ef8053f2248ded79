//go:build !linux

package torture

// disks needs namespaces and ptrace.
func disks() []scene { return nil }

func diskMutants() []mutant { return nil }
