package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone/test/harness"
)

// caller is one client of the native API on one kept-alive connection. It writes
// requests itself: net/http's client would cost as much as what it measures.
type caller struct {
	conn net.Conn
	r    *bufio.Reader
	b    bytes.Buffer
}

func dial(w *harness.World) (*caller, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		return nil, err
	}
	return &caller{conn: conn, r: bufio.NewReader(conn)}, nil
}

// call makes one request and waits for its answer, which has to be a success.
func (c *caller) call(method, path, body string) (answer []byte, err error) {
	c.b.Reset()
	fmt.Fprintf(&c.b, "%s %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer dp_dev\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, path, len(body), body)
	if _, err := c.conn.Write(c.b.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	return answer, err
}

// crowd is how many clients call at the same time.
const crowd = 64

// load has a crowd make n requests, as many as it can at a time, and gives how long
// each has waited, sorted, and how long all took. request gives the i-th.
func load(b *testing.B, w *harness.World, n int, request func(i int) (method, path, body string)) (waits []time.Duration, took time.Duration) {
	b.Helper()
	of := make([][]time.Duration, crowd)
	var all sync.WaitGroup
	begun := time.Now()
	for client := range crowd {
		all.Go(func() {
			c, err := dial(w)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.conn.Close()
			for i := client; i < n; i += crowd {
				at := time.Now()
				if _, err := c.call(request(i)); err != nil {
					b.Error(err)
					return
				}
				of[client] = append(of[client], time.Since(at))
			}
		})
	}
	all.Wait()
	took = time.Since(begun)
	if b.Failed() {
		b.FailNow()
	}
	return slices.Sorted(slices.Values(slices.Concat(of...))), took
}

// publication is the request of a notification to one device.
func publication(device string) (method, path, body string) {
	return http.MethodPost, "/v1/messages",
		`{"to":{"devices":["` + device + `"]},"notification":{"title":"A question","body":"Are you there?"}}`
}
