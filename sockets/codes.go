package sockets

// Close codes. Those below 3000 are of RFC 6455 §7.4.1.
const (
	CodeNormal      = 1000
	CodeGoingAway   = 1001
	CodeProtocol    = 1002
	CodeUnsupported = 1003 // a binary frame
	CodeNone        = 1005 // the peer closed without a code; never on the wire
	CodeAbnormal    = 1006 // the connection broke; never on the wire
	CodeNotUTF8     = 1007
	CodeTooBig      = 1009

	// CodeSlow: the peer does not read. Pusher's clients come back after a second
	// on 4100–4199 (the Pusher Channels protocol, "connection closure").
	CodeSlow = 4100
	// CodeDead: pings were not answered. Pusher's "pong reply not received".
	CodeDead = 4201
)
