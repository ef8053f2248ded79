package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// signedPublisher publishes events through Pusher's HTTP API on one kept-alive
// connection. It writes requests itself: net/http's client would cost several
// times what it measures.
type signedPublisher struct {
	target           *url.URL
	app, key, secret string
	conn             net.Conn
	r                *bufio.Reader
	until            time.Time // the deadline of conn
	filling          string
}

// minEventSize holds the time and the number of an event.
const minEventSize = 64

// publishWait bounds one publish: a gateway that takes longer has failed.
const publishWait = 30 * time.Second

func (b *benchSocketsCmd) publisher(target *url.URL) *signedPublisher {
	return &signedPublisher{target: target, app: b.AppID, key: b.Key, secret: b.Secret, filling: strings.Repeat("x", b.Size)}
}

// dial connects at the first publish: a gateway closes connections that say nothing.
func (p *signedPublisher) dial(ctx context.Context) (err error) {
	if p.conn == nil {
		d := &net.Dialer{Timeout: publishWait}
		if p.target.Scheme == "https" {
			p.conn, err = (&tls.Dialer{NetDialer: d}).DialContext(ctx, "tcp", p.target.Host)
		} else {
			p.conn, err = d.DialContext(ctx, "tcp", p.target.Host)
		}
		p.r = bufio.NewReader(p.conn)
	}
	return err
}

// eventData is what one event carries: when it was sent, in nanoseconds since
// the start, and its number, filled up to size.
func eventData(at time.Duration, number uint64, filling string) string {
	head := fmt.Sprintf(`{"at":%d,"number":%d,"filling":"`, at, number)
	return head + filling[min(len(filling), len(head)+2):] + `"}`
}

// publish sends one event and waits for the answer.
func (p *signedPublisher) publish(ctx context.Context, channel string, at time.Duration, number uint64) error {
	if err := p.dial(ctx); err != nil {
		return err
	}
	data := strconv.Quote(eventData(at, number, p.filling)) // plain ASCII: Go's quoting is JSON's
	body := `{"name":"bench","channels":["` + channel + `"],"data":` + data + `}`
	path := "/apps/" + p.app + "/events" // a prefix before it is not signed
	sum := md5.Sum([]byte(body))         // Pusher's protocol asks for it
	now := time.Now()
	query := "auth_key=" + p.key + "&auth_timestamp=" + strconv.FormatInt(now.Unix(), 10) +
		"&auth_version=1.0&body_md5=" + hex.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(p.secret))
	mac.Write([]byte("POST\n" + path + "\n" + query))
	request := "POST " + p.target.Path + path + "?" + query + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil)) +
		" HTTP/1.1\r\nHost: " + p.target.Host + "\r\nContent-Type: application/json\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body
	if now.After(p.until.Add(-publishWait / 2)) { // now and then: setting it is not free
		p.until = now.Add(publishWait)
		if err := p.conn.SetDeadline(p.until); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(p.conn, request); err != nil {
		return err
	}
	if err := p.answer(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// answer reads an answer of HTTP/1.1 with a Content-Length, which is how the
// gateway answers here.
func (p *signedPublisher) answer() error {
	status, length := "", -1
	for {
		line, err := p.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if status == "" {
			status = string(line)
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 || length > p.r.Size() {
		return fmt.Errorf("an answer of unknown or great length: %s", status)
	}
	body, err := p.r.Peek(length)
	if err != nil {
		return err
	}
	_, code, _ := strings.Cut(status, " ")
	if !strings.HasPrefix(code, "200") {
		refused, _ := strconv.Atoi(code[:min(3, len(code))]) // 0 is no status that means anything
		return failf(exitOfStatus(refused), "%s: %s", status, bytes.TrimSpace(body))
	}
	_, err = p.r.Discard(length)
	return err
}

func (p *signedPublisher) close() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
}
