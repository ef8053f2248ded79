package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// processUse is what a process has used so far.
type processUse struct {
	user, system time.Duration
	resident     int64 // bytes
}

func (u processUse) cpu() time.Duration { return u.user + u.system }

// clockTick of proc_pid_stat(5); a hundredth of a second on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// useOf reads the use of a process from /proc; nothing for pid 0.
func useOf(pid int) (processUse, error) {
	if pid == 0 {
		return processUse{}, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processUse{}, fmt.Errorf("--pid needs Linux and a running process: %w", err)
	}
	// Counted behind the command's name, which may hold spaces: utime and stime
	// are the 12th and 13th field, rss (in pages) the 22nd.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	number := func(i int) int64 {
		if i >= len(fields) {
			return 0
		}
		n, _ := strconv.ParseInt(fields[i], 10, 64) // the kernel writes numbers
		return n
	}
	return processUse{
		user:     time.Duration(number(11)) * clockTick,
		system:   time.Duration(number(12)) * clockTick,
		resident: number(21) * int64(os.Getpagesize()),
	}, nil
}
