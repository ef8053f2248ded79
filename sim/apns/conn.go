package apns

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
)

const (
	// prefaceTimeout bounds what a silent peer holds.
	prefaceTimeout = 10 * time.Second
	// maxHeaderList is the SETTINGS value seen of APNs (sideshow/apns2#117).
	maxHeaderList = 8000
	// receiveWindow of the connection; the streams keep the default of RFC 9113,
	// which no legal payload fills.
	receiveWindow = 1 << 20
	coldStreams   = 1 // until the first authorised request
)

// conn is one connection of a sender. Its reader, the goroutine of serve, judges
// the requests; the writer sends what the reader and the timers put into the
// outbox.
type conn struct {
	server  *Server
	tls     *tls.Conn
	fr      *http2.Framer
	outbox  *outbox
	streams streams
	timers  sync.WaitGroup // callbacks that may still run

	// Of the reader alone:
	session  session
	pass     *Key   // of the sender's certificate; nil: it has shown none
	passWhy  reason // why its certificate is good for nothing
	newest   uint32 // highest stream id the peer used
	unread   int64  // bytes received since the last WINDOW_UPDATE
	requests int    // answered or to be answered
}

func newConn(s *Server, tc *tls.Conn, env phone.Environment) *conn {
	c := &conn{server: s, tls: tc, outbox: newOutbox(), session: session{env: env}}
	c.streams.open = map[uint32]*stream{}
	c.streams.limit = coldStreams
	c.pass, c.passWhy = s.certified(tc)
	return c
}

// serve returns when the connection is closed and nothing of it runs any more.
func (c *conn) serve() {
	var writing sync.WaitGroup
	writing.Go(newWriter(c).run)
	told := c.fail(c.read())
	c.outbox.close()
	writing.Wait()
	if told {
		c.linger()
	}
	c.tls.Close() //nolint:errcheck // nobody is left to care
	for _, s := range c.streams.all() {
		c.cancel(s)
	}
	c.timers.Wait()
}

func (c *conn) read() error {
	if err := c.handshake(); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c.tls, 4*frameSize)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(in, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.fr = http2.NewFramer(nil, in)
	c.fr.SetReuseFrames()
	c.fr.ReadMetaHeaders = hpack.NewDecoder(headerTable, nil)
	c.fr.MaxHeaderListSize = maxHeaderList
	c.fr.SetMaxReadFrameSize(frameSize)
	for first := true; ; first = false {
		frame, err := c.fr.ReadFrame()
		var broken http2.StreamError
		if errors.As(err, &broken) {
			c.abort(broken.StreamID, broken.Code)
			continue
		}
		if err != nil {
			return err
		}
		if _, is := frame.(*http2.SettingsFrame); first && !is {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if first {
			if err := c.tls.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
		}
		if err := c.handle(frame); err != nil {
			return err
		}
	}
}

func (c *conn) handshake() error {
	if err := c.tls.SetReadDeadline(time.Now().Add(prefaceTimeout)); err != nil {
		return err
	}
	c.put(
		settings{
			{ID: http2.SettingHeaderTableSize, Val: headerTable},
			{ID: http2.SettingMaxConcurrentStreams, Val: coldStreams},
			{ID: http2.SettingMaxHeaderListSize, Val: maxHeaderList},
		},
		room(receiveWindow-defaultWindow),
	)
	return nil
}

func (c *conn) put(items ...outgoing) {
	if !c.outbox.put(items...) {
		// The peer floods or is gone. Closing the descriptor ends reader and writer.
		c.tls.NetConn().Close() //nolint:errcheck // it only has to end
	}
}

// linger reads on for a moment, since closing with input unread would reset the
// connection and with it the GOAWAY that the peer should see.
func (c *conn) linger() {
	if c.tls.CloseWrite() == nil && c.tls.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil {
		_, _ = io.Copy(io.Discard, c.tls.NetConn())
	}
}

// fail tells the peer why the connection ends and reports whether there was
// anything to tell: it broke the protocol.
func (c *conn) fail(err error) bool {
	var broken http2.ConnectionError
	var code http2.ErrCode
	switch {
	case errors.As(err, &broken):
		code = http2.ErrCode(broken)
	case errors.Is(err, http2.ErrFrameTooLarge):
		code = http2.ErrCodeFrameSize
	default:
		return false // the transport is gone
	}
	last, _ := c.streams.drain()
	return c.outbox.put(goAway{last: last, code: code})
}

// goAway announces the end of the connection; streams up to the last are
// answered still. Safe from any goroutine.
func (c *conn) goAway(r reason) {
	if last, first := c.streams.drain(); first {
		c.put(goAway{last: last, code: http2.ErrCodeNo, reason: r})
	}
}

func (c *conn) handle(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.onHeaders(f)
	case *http2.DataFrame:
		return c.onData(f)
	case *http2.SettingsFrame:
		return c.onSettings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.put(pong(f.Data))
		}
	case *http2.WindowUpdateFrame:
		c.onWindowUpdate(f)
	case *http2.RSTStreamFrame:
		if f.StreamID > c.newest {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if s := c.streams.get(f.StreamID); s != nil {
			c.cancel(s)
		}
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // clients may not
	}
	// PRIORITY is ignored, as APNs does; so are GOAWAY, after which the peer just
	// stops, and unknown frames (RFC 9113 section 5.5).
	return nil
}

func (c *conn) onSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	var p peerSettings
	err := f.ForeachSetting(func(s http2.Setting) error {
		switch s.ID {
		case http2.SettingInitialWindowSize:
			p.initialWindow, p.hasWindow = s.Val, true
		case http2.SettingHeaderTableSize:
			p.headerTable, p.hasTable = s.Val, true
		}
		return s.Valid()
	})
	c.put(p)
	return err
}

func (c *conn) onWindowUpdate(f *http2.WindowUpdateFrame) {
	if f.StreamID == 0 {
		c.put(credit{n: f.Increment})
	} else if s := c.streams.get(f.StreamID); s != nil {
		c.put(credit{stream: s, n: f.Increment})
	}
}

func (c *conn) onHeaders(f *http2.MetaHeadersFrame) error {
	now := time.Now()
	id := f.StreamID
	if id <= c.newest {
		return c.onTrailers(f)
	}
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.newest = id
	s := &stream{id: id, ended: f.StreamEnded(), request: parseRequest(f.Fields, now)}
	switch c.streams.admit(s) {
	case overLimit:
		c.server.meter.Arrived(now)
		c.server.meter.Refused(http2.ErrCodeRefusedStream.String())
		c.put(reset{id, http2.ErrCodeRefusedStream})
		return nil
	case ignored:
		return nil
	case admitted:
	}
	c.server.meter.Arrived(now)
	switch {
	case f.Truncated:
		// RFC 6585 section 5; Apple's page is silent about it.
		c.answer(s, answer{status: 431, reason: "RequestHeaderFieldsTooLarge"})
	case s.ended:
		c.complete(s)
	}
	return nil
}

// onTrailers ends a request; those of a stream that is answered already, or was
// refused, may still have been under way.
func (c *conn) onTrailers(f *http2.MetaHeadersFrame) error {
	s := c.streams.get(f.StreamID)
	if s == nil {
		return nil
	}
	if !f.StreamEnded() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.streams.end(s)
	c.complete(s)
	return nil
}

func (c *conn) onData(f *http2.DataFrame) error {
	if f.StreamID > c.newest {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	// Padding counts, and so do streams that are gone (RFC 9113 section 6.9).
	c.unread += int64(f.Length)
	if c.unread > receiveWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if c.unread > receiveWindow/2 {
		c.put(room(c.unread))
		c.unread = 0
	}
	s := c.streams.get(f.StreamID)
	if s == nil || len(s.body) > maxVoIPPayload {
		return nil
	}
	s.body = append(s.body, f.Data()...)
	switch {
	case f.StreamEnded():
		c.streams.end(s)
		c.complete(s)
	case len(s.body) > maxVoIPPayload:
		c.complete(s) // too large in any case: no need to wait for the rest
	}
	return nil
}

// abort resets a stream on which the peer broke the protocol.
func (c *conn) abort(id uint32, code http2.ErrCode) {
	c.newest = max(c.newest, id)
	if s := c.streams.get(id); s != nil {
		c.cancel(s)
	}
	c.put(reset{id, code})
}

// cancel forgets a stream that needs no answer any more.
func (c *conn) cancel(s *stream) {
	c.streams.close(s)
	if s.timer != nil && s.timer.Stop() {
		c.timers.Done()
	}
	c.put(nudge{}) // it may have been the last of a connection that drains
}

// complete works on a request whose last byte is here.
func (c *conn) complete(s *stream) {
	key, why := c.authorise(s.request)
	e := c.server.faults.Take(fault.APNs, c.server.nameOf(s.request))
	c.requests++
	a, act := c.decide(s, key, why, e)
	switch act {
	case fault.Hang:
		return
	case fault.Refuse:
		c.server.meter.Refused(http2.ErrCodeRefusedStream.String())
		c.streams.close(s)
		c.put(reset{s.id, http2.ErrCodeRefusedStream})
		return
	}
	if e.Delay > 0 {
		c.timers.Add(1)
		s.timer = time.AfterFunc(e.Delay, func() {
			defer c.timers.Done()
			c.answer(s, a)
		})
	} else {
		c.answer(s, a)
	}
	if act == fault.GoAway || e.GoAwayEvery > 0 && c.requests >= e.GoAwayEvery {
		c.goAway(shutdown)
	}
}

// decide returns the answer and, if a fault asks for it, what to do to the
// connection.
func (c *conn) decide(s *stream, key *Key, why reason, e fault.Effect) (answer, string) {
	act := ""
	if f := e.Answer; f != nil {
		switch f.Reason {
		case fault.Hang, fault.Refuse:
			return answer{}, f.Reason
		case fault.GoAway:
			act = f.Reason
		default:
			return faulty(f), ""
		}
	}
	if why != "" {
		return c.server.refuse(why), act
	}
	env := s.request.environment(c.session.env)
	return c.server.judge(key, env, s.request, s.body), act
}

// authorise checks what comes before the content of a request. The first request
// that passes lifts the limit of one stream.
func (c *conn) authorise(r *request) (*Key, reason) {
	switch {
	case r.duplicated:
		return nil, duplicateHeaders
	case r.method != "POST":
		return nil, methodNotAllowed
	case r.deviceErr == badPath:
		return nil, badPath
	case c.pass != nil || c.passWhy != "":
		return c.authoriseCertificate(r)
	}
	token, why := c.server.verifier.check(r.authorization, r.received)
	if why != "" {
		return nil, why
	}
	if why := c.session.admit(token, r.environment(c.session.env), r.received); why != "" {
		return nil, why
	}
	c.warm()
	return token.key, ""
}

// warm lifts the limit of one stream.
func (c *conn) warm() {
	if limit := c.server.maxStreams; c.streams.raise(limit) {
		c.put(settings{{ID: http2.SettingMaxConcurrentStreams, Val: uint32(limit)}})
	}
}

// answer queues what APNs says. Safe from any goroutine.
func (c *conn) answer(s *stream, a answer) {
	a.id = s.request.id
	if !isUUID(a.id) {
		a.id = newUUID()
	}
	if a.status == 200 {
		c.server.meter.Accepted()
	} else {
		c.server.meter.Refused(a.name())
	}
	c.put(&reply{stream: s, answer: a})
}
