// Package fallback carries WebSocket connections over plain HTTP requests, for
// clients behind a proxy that lets no WebSocket pass: the transports xhr_streaming
// and xhr_polling of pusher-js, which are those of SockJS.
//
// A session stands between the two. To the socket engine it is the far end of a
// WebSocket, in this process; so the engine and everything above it treat such a
// client like any other: limits, pings, order, back-pressure, drain and close
// codes hold without a word of code here. To the client it is a pair of requests:
//
//   - one listens, and what the engine sends goes out as lines: o (open), a[…]
//     (messages), h (nothing new), c[code,"reason"] (closed). A stream ends after so
//     many characters, a poll after the first lines; then the client listens again.
//   - another speaks: a JSON array of messages.
//
// Control frames have no counterpart in HTTP. A ping becomes the event
// pusher:ping, in its place among the messages, and the client's pusher:pong
// becomes the pong: it proves, as a WebSocket's does, that the client has taken
// all that was sent before.
//
// Nothing is lost silently. A request that breaks off while it listens ends its
// session, for nobody knows what of the last lines has arrived; the client takes
// it as the end of the connection too.
//
// Channels, users and apps are unknown here; so are routes and CORS.
package fallback
