package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
)

type batchCmd struct {
	server
	jsonFlag
	File           string `arg:"" optional:"" help:"File with a message in each line, as JSON that POST /v1/messages takes, perhaps with an idempotency_key; - is standard input." default:"-"`
	IdempotencyKey string `help:"Gives each line without a key one made of this and its number, so that the whole can be run again: what was accepted is not sent twice." placeholder:"KEY" env:"-"`
}

// Bounds of one request, far below the API's: JSON may grow when it is written anew.
const (
	batchLines = 100
	batchBytes = 256 << 10
	maxLine    = 64 << 10
)

// batchRun is a file on its way: the lines of the next request, and how it went so far.
type batchRun struct {
	cmd      *batchCmd
	c        *console
	api      *client.Client
	line     int // read so far
	lines    []int
	messages []wire.BatchMessage
	bytes    int
	accepted int
	refused  int
}

// batchLine is what --json prints of a line.
type batchLine struct {
	Line     int             `json:"line"`
	Message  *wire.Published `json:"message,omitempty"`
	Replayed bool            `json:"replayed,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// Run publishes line by line. One that is refused does not keep the others.
func (b *batchCmd) Run(c *console) error {
	api, err := b.client()
	if err != nil {
		return err
	}
	in := c.in
	if b.File != "-" {
		f, err := os.Open(b.File)
		if errors.Is(err, fs.ErrNotExist) {
			return &coded{exitNotFound, err}
		}
		if err != nil {
			return usage(err)
		}
		defer f.Close()
		in = f
	}
	run := batchRun{cmd: b, c: c, api: api}
	if err := run.read(in); err != nil {
		return err
	}
	if run.refused > 0 {
		return failf(exitPartial, "%d of %d messages were refused", run.refused, run.accepted+run.refused)
	}
	return nil
}

func (r *batchRun) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		r.line++
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		m, err := parseMessage(text)
		if err != nil {
			if err := r.tell(batchLine{Line: r.line, Error: "not a message: " + err.Error()}); err != nil {
				return err
			}
			continue
		}
		if m.IdempotencyKey == "" && r.cmd.IdempotencyKey != "" {
			m.IdempotencyKey = fmt.Sprintf("%s/%d", r.cmd.IdempotencyKey, r.line)
		}
		r.lines, r.messages, r.bytes = append(r.lines, r.line), append(r.messages, m), r.bytes+len(text)
		if len(r.messages) == batchLines || r.bytes >= batchBytes {
			if err := r.send(); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(r.send(), usagef("line %d: %w", r.line+1, err))
	}
	return r.send()
}

func parseMessage(text []byte) (m wire.BatchMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, errors.New("something stands behind it")
	}
	return m, nil
}

// send publishes what has been read, and tells of each line what became of it.
func (r *batchRun) send() error {
	if len(r.messages) == 0 {
		return nil
	}
	results, err := r.api.PublishBatch(r.c.ctx, r.messages, "")
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", r.lines[0], r.lines[len(r.lines)-1], err)
	}
	if len(results) != len(r.messages) {
		return fmt.Errorf("the gateway answered %d of %d messages", len(results), len(r.messages))
	}
	for i, result := range results {
		told := batchLine{Line: r.lines[i], Message: &result.Published.Published, Replayed: result.Replayed}
		if result.Err != nil {
			told = batchLine{Line: r.lines[i], Error: result.Err.Error()}
		}
		if err := r.tell(told); err != nil {
			return err
		}
	}
	r.lines, r.messages, r.bytes = r.lines[:0], r.messages[:0], 0
	return nil
}

// tell prints what became of a line, and counts it.
func (r *batchRun) tell(l batchLine) (err error) {
	if l.Error == "" {
		r.accepted++
	} else {
		r.refused++
	}
	switch {
	case r.cmd.JSON:
		err = json.NewEncoder(r.c.out).Encode(l)
	case l.Error != "":
		r.c.note("line %d: %s", l.Line, printable(l.Error))
	default:
		_, err = fmt.Fprintf(r.c.out, "%s accepted\n", l.Message.ID)
	}
	return err
}
