package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// SocketPath is where a running gateway serves its operators: a Unix socket in the
// data folder (docs/adr/0007-the-operators-socket.md).
func SocketPath(dir string) string { return filepath.Join(dir, "diaphone.sock") }

// operators serves those who run the gateway. There is no token: only who may use the data folder
// can reach it, and who can do that has the store anyway.
type operators struct {
	store    *bolt.Store
	log      *slog.Logger
	path     string
	listener net.Listener // nil: there is none
	server   *http.Server
	backups  sync.Mutex // one at a time
	closing  sync.Once
}

// ErrBusy says that the gateway gives a backup to somebody else.
var ErrBusy = errors.New("another backup is under way: wait for its end")

// slowReader is how long one piece of a backup may wait to be taken. Until a
// backup ends, the store cannot use again the pages that it replaces.
const slowReader = 30 * time.Second

// openOperators opens the socket. A folder that can have none is no reason to
// deliver nothing: that is logged, and a backup needs a stop then.
func openOperators(dir string, store *bolt.Store, log *slog.Logger) *operators {
	o := &operators{store: store, log: log, path: SocketPath(dir)}
	mux := http.NewServeMux()
	for pattern, serve := range o.routes() {
		mux.HandleFunc(pattern, serve)
	}
	o.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	var err error
	if o.listener, err = listenSocket(o.path); err != nil {
		log.Warn("no socket for operators: backups can only be made while the gateway is stopped", "path", o.path, "error", err)
	}
	return o
}

// routes are all that there is at the socket.
func (o *operators) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"GET /backup": o.backup}
}

// listenSocket makes the socket in a folder that nobody else can enter, and moves
// it to its place when its mode is right: so nobody else can use it at any moment.
// What a killed gateway has left there is replaced; the lock on the store says that
// it has no owner.
func listenSocket(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".socket-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	temp := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: shortest(temp), Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it is at another place
	if err := errors.Join(os.Chmod(temp, 0o600), os.Rename(temp, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// shortest gives the shorter name of a path: the system allows sockets a hundred bytes.
func shortest(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if near, err := filepath.Rel(here, whole); err == nil && len(near) < len(whole) {
		return near
	}
	return whole
}

// run serves until ctx ends; a backup under way is broken off then.
func (o *operators) run(ctx context.Context) error {
	if o.listener == nil {
		return nil
	}
	defer context.AfterFunc(ctx, o.close)()
	if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close ends the serving, and waits until nobody reads the store any more. Calls
// after the first do nothing but wait too.
func (o *operators) close() {
	o.closing.Do(func() {
		_ = o.server.Close()
		o.backups.Lock() // for good: there are no more backups
		if o.listener != nil {
			_ = o.listener.Close() // the server knows of it only if it has served
			_ = os.Remove(o.path)
		}
	})
}

func (o *operators) backup(w http.ResponseWriter, r *http.Request) {
	if !o.backups.TryLock() {
		http.Error(w, ErrBusy.Error(), http.StatusConflict)
		return
	}
	defer o.backups.Unlock()
	begun := time.Now()
	out := &impatient{w: w, control: http.NewResponseController(w)}
	err := o.store.Backup(r.Context(), out, func(bytes int64) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(bytes, 10))
	})
	if err != nil {
		o.log.Warn("a backup was broken off", "after", time.Since(begun).Round(time.Millisecond), "bytes", out.n, "error", err)
		panic(http.ErrAbortHandler) // so that the other end cannot take it for whole
	}
	o.log.Info("a backup was taken", "in", time.Since(begun).Round(time.Millisecond), "bytes", out.n)
}

// impatient gives up on a reader that takes nothing for too long.
type impatient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	n       int64
}

func (i *impatient) Write(b []byte) (int, error) {
	if err := i.control.SetWriteDeadline(time.Now().Add(slowReader)); err != nil {
		return 0, err
	}
	n, err := i.w.Write(b)
	i.n += int64(n)
	return n, err
}

// Backup writes a backup of the store in a data folder: the running gateway gives
// it, or, when none runs, the file itself. announce hears of the size first.
func Backup(ctx context.Context, dir string, w io.Writer, announce func(bytes int64)) error {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "unix", shortest(SocketPath(dir)))
	switch {
	case err == nil:
		return fetchBackup(ctx, conn, w, announce)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the gateway's socket is not for this user: run as the one that runs the gateway: %w", err)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	err = bolt.BackupFile(StorePath(dir), w, announce)
	if errors.Is(err, bolt.ErrInUse) {
		return fmt.Errorf("%w, which does not answer at %s: look for a warning about it in its log", err, SocketPath(dir))
	}
	return err
}

func fetchBackup(ctx context.Context, conn net.Conn, w io.Writer, announce func(bytes int64)) error {
	transport := &http.Transport{
		DialContext:           func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives:     true,
		ResponseHeaderTimeout: time.Minute,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://diaphone/backup", http.NoBody)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("ask the gateway for a backup: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusConflict {
		return ErrBusy
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("the gateway gives no backup: %s", strings.TrimSpace(string(text)))
	}
	announce(resp.ContentLength)
	_, err = io.Copy(w, resp.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the gateway has broken the backup off, perhaps because it was stopped; its log says why: %w", err)
	}
	return err
}
