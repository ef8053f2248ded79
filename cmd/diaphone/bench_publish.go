package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
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
	out              bytes.Buffer
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
func (p *signedPublisher) dial() (err error) {
	if p.conn == nil {
		p.conn, err = net.DialTimeout("tcp", p.target.Host, publishWait)
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
func (p *signedPublisher) publish(channel string, at time.Duration, number uint64) error {
	data := strconv.Quote(eventData(at, number, p.filling)) // plain ASCII: Go's quoting is JSON's
	body := `{"name":"bench","channels":["` + channel + `"],"data":` + data + `}`
	path := p.target.Path + "/apps/" + p.app + "/events"
	sum := md5.Sum([]byte(body)) // Pusher's protocol asks for it
	query := "auth_key=" + p.key + "&auth_timestamp=" + strconv.FormatInt(time.Now().Unix(), 10) +
		"&auth_version=1.0&body_md5=" + hex.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(p.secret))
	mac.Write([]byte("POST\n" + path + "\n" + query))
	p.out.Reset()
	fmt.Fprintf(&p.out, "POST %s?%s&auth_signature=%x HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, query, mac.Sum(nil), p.target.Host, len(body), body)
	if err := p.dial(); err != nil {
		return err
	}
	if err := p.conn.SetDeadline(time.Now().Add(publishWait)); err != nil {
		return err
	}
	if _, err := p.conn.Write(p.out.Bytes()); err != nil {
		return err
	}
	return p.answer()
}

func (p *signedPublisher) answer() error {
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return fmt.Errorf("the answer to a publish: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("the answer to a publish: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return failf(exitOfStatus(res.StatusCode), "publish: %s: %s", res.Status, bytes.TrimSpace(text))
	}
	return nil
}

func (p *signedPublisher) close() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
}
