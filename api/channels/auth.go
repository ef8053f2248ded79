package channels

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
)

// skew is how far a request's clock may be from ours; it also bounds how long a
// recorded request can be played again.
const skew = 600 * time.Second

// call is an authenticated request of the HTTP API. Its memory serves one request after
// the other: endpoints keep nothing of it but strings.
type call struct {
	app      *diaphone.App
	query    query
	channels []string // of the query, in order
	body     []byte
	text     []byte // that is signed
}

// signed wraps an endpoint: it is called with requests of the app's backend only.
func (d *Door) signed(endpoint func(echo.Context, *call) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		in := d.calls.Get().(*call)
		err := d.authenticate(c, in)
		if err == nil {
			err = endpoint(c, in)
		}
		d.calls.Put(in)
		if err != nil {
			return d.refuse(c, err)
		}
		return nil
	}
}

func (d *Door) authenticate(c echo.Context, in *call) error {
	r, id := c.Request(), pathParam(c, "app")
	if in.app = d.gateway.Apps().ByID(diaphone.AppID(id)); in.app == nil {
		api.HidePath(c) // whoever mixes things up may have put a secret there
		return refusef(http.StatusNotFound, "No app with this id")
	}
	var err error
	if in.query, in.channels, err = parseQuery(in.query, r.URL.RawQuery); err != nil {
		return err
	}
	if in.body, err = readBody(in.body[:0], r, maxBody(in.app)); err != nil {
		return err
	}
	key, err := checkParams(in, time.Now())
	if err != nil {
		return err
	}
	if err := checkSignature(r, in, d.signers[key.Key]); err != nil {
		return err
	}
	if in.app.Disabled {
		return refusef(http.StatusForbidden, "App %s is disabled", in.app.ID)
	}
	return nil
}

// maxBody has room for a full batch with every byte of its data escaped.
func maxBody(app *diaphone.App) int64 {
	const overhead = 64 << 10 // names, channels, punctuation
	return int64(maxBatch*app.Limits.MaxEventBytes()*2 + overhead)
}

func readBody(into []byte, r *http.Request, most int64) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= most { // it ends there by itself
		body := slices.Grow(into, int(n))[:n]
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, refusef(http.StatusBadRequest, "The request body could not be read")
		}
		return body, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, most))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, refusef(http.StatusRequestEntityTooLarge, "The request body exceeds the allowed maximum (%d bytes)", most)
	case err != nil:
		return nil, refusef(http.StatusBadRequest, "The request body could not be read")
	}
	return body, nil
}

// checkParams checks everything but the signature and gives the key to check it with.
func checkParams(in *call, now time.Time) (diaphone.Key, error) {
	key, ok := in.app.Key(in.query.get(paramKey))
	if !ok {
		return key, refusef(http.StatusUnauthorized, "Unknown auth_key")
	}
	if v := in.query.get(paramVersion); v != "1.0" {
		return key, refusef(http.StatusUnauthorized, "Invalid version: auth_version should be 1.0")
	}
	seconds, err := strconv.ParseInt(in.query.get(paramTimestamp), 10, 64)
	if err != nil {
		return key, refusef(http.StatusUnauthorized, "Invalid timestamp: auth_timestamp should be seconds since 1970")
	}
	// Compared as seconds: a far-off timestamp does not fit a time.Duration.
	if off := now.Unix() - seconds; off > int64(skew/time.Second) || off < -int64(skew/time.Second) {
		return key, refusef(http.StatusUnauthorized, "Timestamp expired: Given timestamp (%s) not within 600s of server time (%s)",
			time.Unix(seconds, 0).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	sent, given := in.query.find(paramBodyMD5)
	if !given && len(in.body) == 0 {
		return key, nil
	}
	// The Python SDK sends the MD5 of nothing with every GET, so it counts there too.
	sum := md5.Sum(in.body)
	var text [2 * md5.Size]byte
	hex.Encode(text[:], sum[:])
	if !equal(sent, text[:]) {
		return key, refusef(http.StatusUnauthorized, "Invalid body_md5: it should be the hex MD5 of the request body")
	}
	return key, nil
}

// checkSignature tries the path as it came, and decoded: SDKs sign what they put
// on the wire, and a proxy may have escaped it since. A prefix of the path, which
// they do not sign, is gone by now (api.UnderPrefix).
func checkSignature(r *http.Request, in *call, key *signer) error {
	raw, decoded := r.URL.EscapedPath(), r.URL.Path
	sent := in.query.get(paramSignature)
	in.text = appendRequestText(in.text[:0], r.Method, raw, in.query)
	if key.signed(in.text, sent) {
		return nil
	}
	if decoded != raw && key.signed(appendRequestText(nil, r.Method, decoded, in.query), sent) {
		return nil
	}
	if len(sent) != hex.EncodedLen(sha256.Size) {
		sent = "[no signature]" // perhaps the secret itself
	}
	return refusef(http.StatusUnauthorized, "Invalid signature: you should have sent HmacSHA256Hex(%q, your_secret_key), but you sent %q",
		clip(string(in.text)), sent)
}
