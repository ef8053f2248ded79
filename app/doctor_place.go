package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// What is worth a warning of the machine that the gateway runs on.
const (
	littleRoom    = 1 << 30 // bytes
	othersMay     = 0o007   // permissions of everybody
	socketTimeout = 2 * time.Second
)

// onLoopback tells whether only this machine can reach an address. A name is looked
// up by nobody here: but for localhost it counts as open.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// opened says what a range of --egress-allow-cidr lets in.
func opened(p netip.Prefix) Check {
	const advice = "narrow --egress-allow-cidr to the machines that webhooks and push services of yours run on"
	detail := fmt.Sprintf("webhooks may reach %s, which is not public", p)
	for _, inside := range []struct{ address, is string }{
		{"169.254.169.254", "the metadata service of clouds, which hands out credentials"},
		{"127.0.0.1", "this machine itself"}, {"::1", "this machine itself"},
	} {
		if p.Contains(netip.MustParseAddr(inside.address)) {
			return doubtful("egress", detail+": among it "+inside.is, advice)
		}
	}
	return sound("egress", "%s", detail)
}

// modes finds files with secrets in them that everybody on the machine can read.
func modes(files []string) (all []Check) {
	for _, path := range files {
		if c, bad := mode("files", path); bad {
			all = append(all, c)
		}
	}
	return all
}

func mode(what, path string) (c Check, bad bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&othersMay == 0 || runtime.GOOS == "windows" {
		return c, false
	}
	return doubtful(what, fmt.Sprintf("%s has mode %04o: every user of this machine can use it", path, info.Mode().Perm()),
		fmt.Sprintf("chmod o-rwx %s", path)), true
}

// folder checks the data folder and its disk, without the lock on the store.
func (d *Doctor) folder() []Check {
	const what = "data_folder"
	info, err := os.Stat(d.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Check{sound(what, "%s is not there yet: the first start makes it", d.DataDir)}
	case err != nil:
		return []Check{faulty(what, err.Error(), "run as the user that runs the gateway")}
	case !info.IsDir():
		return []Check{faulty(what, d.DataDir+" is not a folder", "name a folder with --data-dir")}
	}
	var all []Check
	for _, path := range []string{d.DataDir, StorePath(d.DataDir)} {
		if c, bad := mode(what, path); bad {
			all = append(all, c)
		}
	}
	if err := writable(d.DataDir); err != nil {
		return append(all, faulty(what, err.Error(), "give the folder to the user that runs the gateway, and run this as the same"))
	}
	free, reserve, known := bolt.Room(StorePath(d.DataDir))
	room := fmt.Sprintf("%d MB are free on the disk of %s", free>>20, d.DataDir)
	switch {
	case !known:
		return append(all, sound(what, "%s can be written to", d.DataDir))
	case free < reserve:
		return append(all, faulty(what, fmt.Sprintf("%s: below %d MB nothing new is accepted", room, reserve>>20), "make room on the disk, or shorten --retention"))
	case free < littleRoom:
		return append(all, doubtful(what, room, fmt.Sprintf("make room on the disk, or shorten --retention: below %d MB nothing new is accepted", reserve>>20)))
	}
	return append(all, sound(what, "%s can be written to, and %s", d.DataDir, room))
}

// writable makes a file in the folder and removes it.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// port tells whether the gateway runs, and if not, whether it could listen. Whoever
// holds the operators' socket of the data folder is the gateway.
func (d *Doctor) port(ctx context.Context) Check {
	const what = "port"
	runs, err := running(ctx, d.DataDir)
	if err != nil {
		return doubtful(what, "cannot tell whether the gateway runs: "+err.Error(), "run as the user that runs the gateway")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", d.Listen)
	switch {
	case err == nil:
		_ = l.Close() // nobody has come
		if runs {
			return sound(what, "the gateway of %s runs, with another --listen than %s", filepath.Clean(d.DataDir), d.Listen)
		}
		return sound(what, "the gateway does not run, and %s is free", d.Listen)
	case runs && errors.Is(err, syscall.EADDRINUSE):
		return sound(what, "the gateway runs, and %s is taken", d.Listen)
	case errors.Is(err, syscall.EADDRINUSE):
		return faulty(what, fmt.Sprintf("%s is taken, and not by the gateway of %s", d.Listen, filepath.Clean(d.DataDir)),
			"free the port or choose another with --listen; should it be systemd that holds the port for the gateway, all is well")
	}
	return faulty(what, fmt.Sprintf("cannot listen on %s: %v", d.Listen, err), "choose another address with --listen")
}

// running tells whether a gateway serves the data folder.
func running(ctx context.Context, dir string) (bool, error) {
	dialer := net.Dialer{Timeout: socketTimeout}
	conn, err := dialer.DialContext(ctx, "unix", shortest(SocketPath(dir)))
	switch {
	case err == nil:
		return true, conn.Close()
	case errors.Is(err, fs.ErrPermission):
		return false, errors.New("its socket in the data folder is not for this user")
	}
	return false, nil
}
