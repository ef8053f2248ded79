package channels

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// Query parameters of a signed request.
const (
	paramKey       = "auth_key"
	paramTimestamp = "auth_timestamp"
	paramVersion   = "auth_version"
	paramBodyMD5   = "body_md5"
	paramSignature = "auth_signature"
)

// paramChannels may be given several times: it is an array.
const paramChannels = "channels[]"

// skew is how far a request's clock may be from ours; it also bounds how long a
// recorded request can be played again.
const skew = 600 * time.Second

// call is an authenticated request of the HTTP API.
type call struct {
	app      *diaphone.App
	query    map[string]string // names in lower case
	channels []string          // of the query, in order
	body     []byte
	path     func(name string) string // decoded path parameters
}

// signed wraps an endpoint: it is called with requests of the app's backend only.
func (d *Door) signed(endpoint func(echo.Context, *call) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		in, err := d.authenticate(c)
		if err == nil {
			err = endpoint(c, in)
		}
		if err != nil {
			return d.refuse(c, err)
		}
		return nil
	}
}

func (d *Door) authenticate(c echo.Context) (*call, error) {
	r := c.Request()
	in := &call{path: pathParams(c)}
	id := in.path("app")
	if in.app = d.gateway.Apps().ByID(diaphone.AppID(id)); in.app == nil {
		hide(c) // whoever mixes things up may have put a secret there
		return nil, refusef(http.StatusNotFound, "No app with this id")
	}
	var err error
	if in.query, in.channels, err = parseQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	if in.body, err = readBody(r, maxBody(in.app)); err != nil {
		return nil, err
	}
	key, err := checkParams(in, time.Now())
	if err != nil {
		return nil, err
	}
	if err := checkSignature(r, in, key); err != nil {
		return nil, err
	}
	if in.app.Disabled {
		return nil, refusef(http.StatusForbidden, "App %s is disabled", in.app.ID)
	}
	return in, nil
}

// parseQuery decodes the query under lower-case names. A doubled auth parameter
// is refused: which of the two counts is what request smuggling lives on. The array
// of channels stands in the query as it is signed, "a&channels[]=b" (pusher-signature).
func parseQuery(raw string) (query map[string]string, channels []string, err error) {
	query = make(map[string]string, strings.Count(raw, "&")+1)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, badName := url.QueryUnescape(name)
		value, badValue := url.QueryUnescape(value)
		if badName != nil || badValue != nil || strings.Contains(pair, ";") { // as url.ParseQuery
			return nil, nil, refusef(http.StatusBadRequest, "Malformed query string")
		}
		name = strings.ToLower(name)
		if _, before := query[name]; before && (strings.HasPrefix(name, "auth_") || name == paramBodyMD5) {
			return nil, nil, refusef(http.StatusUnauthorized, "Parameter %s is given twice", name)
		}
		if name == paramChannels {
			channels = append(channels, value)
		}
		query[name] = value
	}
	if len(channels) > 1 {
		query[paramChannels] = strings.Join(channels, "&"+paramChannels+"=")
	}
	return query, channels, nil
}

// maxBody has room for a full batch with every byte of its data escaped.
func maxBody(app *diaphone.App) int64 {
	const overhead = 64 << 10 // names, channels, punctuation
	return int64(maxBatch*app.Limits.MaxEventBytes()*2 + overhead)
}

func readBody(r *http.Request, most int64) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= most { // it ends there by itself
		body := make([]byte, n)
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
	key, ok := in.app.Key(in.query[paramKey])
	if !ok {
		return key, refusef(http.StatusUnauthorized, "Unknown auth_key")
	}
	if v := in.query[paramVersion]; v != "1.0" {
		return key, refusef(http.StatusUnauthorized, "Invalid version: auth_version should be 1.0")
	}
	seconds, err := strconv.ParseInt(in.query[paramTimestamp], 10, 64)
	if err != nil {
		return key, refusef(http.StatusUnauthorized, "Invalid timestamp: auth_timestamp should be seconds since 1970")
	}
	// Compared as seconds: a far-off timestamp does not fit a time.Duration.
	if off := now.Unix() - seconds; off > int64(skew/time.Second) || off < -int64(skew/time.Second) {
		return key, refusef(http.StatusUnauthorized, "Timestamp expired: Given timestamp (%s) not within 600s of server time (%s)",
			time.Unix(seconds, 0).UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	sent, given := in.query[paramBodyMD5]
	if !given && len(in.body) == 0 {
		return key, nil
	}
	// The Python SDK sends the MD5 of nothing with every GET, so it counts there too.
	sum := md5.Sum(in.body)
	if !equal(sent, hex.EncodeToString(sum[:])) {
		return key, refusef(http.StatusUnauthorized, "Invalid body_md5: it should be the hex MD5 of the request body")
	}
	return key, nil
}

// checkSignature tries the path as it came, and decoded: SDKs sign what they put
// on the wire, and a proxy may have escaped it since. A prefix of the path, which
// they do not sign, is gone by now (api.UnderPrefix).
func checkSignature(r *http.Request, in *call, key diaphone.Key) error {
	raw, decoded := r.URL.EscapedPath(), r.URL.Path
	sent := in.query[paramSignature]
	text := requestText(r.Method, raw, in.query)
	if equal(sent, sign(key.Secret, text)) {
		return nil
	}
	if decoded != raw && equal(sent, sign(key.Secret, requestText(r.Method, decoded, in.query))) {
		return nil
	}
	if len(sent) != hex.EncodedLen(sha256.Size) {
		sent = "[no signature]" // perhaps the secret itself
	}
	return refusef(http.StatusUnauthorized, "Invalid signature: you should have sent HmacSHA256Hex(%q, your_secret_key), but you sent %q",
		clip(text), sent)
}

// pathParams decodes path parameters: echo matches the escaped path when there
// is one, and gives its pieces as they are.
func pathParams(c echo.Context) func(string) string {
	escaped := c.Request().URL.RawPath != ""
	return func(name string) string {
		value := c.Param(name)
		if !escaped {
			return value
		}
		if plain, err := url.PathUnescape(value); err == nil {
			return plain
		}
		return value
	}
}
