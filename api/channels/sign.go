package channels

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"

	"github.com/diaphone-dev/diaphone"
)

// sign is the one primitive of all of Pusher's signatures: lower-case hex of
// HMAC-SHA256.
func sign(secret diaphone.Secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(text))
	var sum [sha256.Size]byte
	return hex.EncodeToString(mac.Sum(sum[:0]))
}

// equal compares in constant time. Signatures count in lower case only.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// channelText is what a subscription signs: the received bytes of channel_data,
// when there is any, on every kind of channel.
func channelText(socket diaphone.SocketID, channel diaphone.ChannelName, data string) string {
	text := string(socket) + ":" + string(channel)
	if data != "" {
		text += ":" + data
	}
	return text
}

// userText is what a sign-in signs.
func userText(socket diaphone.SocketID, data string) string {
	return string(socket) + "::user::" + data
}

// requestText is what an HTTP request signs: all query parameters but the
// signature, with lower-case names in order, and values as they are when decoded.
func requestText(method, path string, query map[string]string) string {
	var few [8]string // an event has five
	names, size := few[:0], len(method)+len(path)+2
	for name, value := range query {
		if name != paramSignature {
			names = append(names, name)
			size += len(name) + len(value) + 2
		}
	}
	slices.Sort(names)
	b := make([]byte, 0, size)
	b = append(append(b, method...), '\n')
	b = append(append(b, path...), '\n')
	for i, name := range names {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(b, name...), '=')
		b = append(b, query[name]...)
	}
	return string(b)
}
