package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api/wire"
)

// Watch follows a message: how far it has come now, and whenever that changes, until it
// has finished or ctx ends. A stream that breaks off gives an error; watch again then, for
// nothing is missed by that.
func (c *Client) Watch(ctx context.Context, id diaphone.MessageID) iter.Seq2[wire.Progress, error] {
	return func(yield func(wire.Progress, error) bool) {
		over := false // it has finished, or the caller has had enough
		err := c.stream(ctx, request{method: http.MethodGet, path: messagePath(id) + "/progress"}, func(data string) (bool, error) {
			var p wire.Progress
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				return false, err
			}
			over = !yield(p, nil) || p.State == diaphone.Finished
			return !over, nil
		})
		if err == nil && !over {
			err = errors.New("the gateway has ended the stream before the message has finished: watch again")
		}
		if err != nil {
			yield(wire.Progress{}, err)
		}
	}
}

// maxEvent bounds one event of a stream.
const maxEvent = 64 << 10

// events hands the data of server-sent events to each until it has had enough.
func events(lines *bufio.Scanner, each func(data string) (more bool, err error)) error {
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue // a comment, or the end of an event: ours have one line
		}
		if more, err := each(data); err != nil || !more {
			return err
		}
	}
	return lines.Err()
}

// stream makes a call whose answer has no end but the caller's, so Timeout does not bound
// it: ctx does.
func (c *Client) stream(ctx context.Context, r request, each func(data string) (more bool, err error)) error {
	req, err := c.build(ctx, r)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return err // says method and URL already
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
		}
		return problemOf(resp, body)
	}
	if err := events(bufio.NewScanner(resp.Body), each); err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return nil
}
