// Package identity reads identity tokens: JSON Web Tokens (RFC 7519) by which an app's
// backend says whose an installation is. Only one app's keys are ever looked at, and a
// key takes one algorithm only (RFC 8725 §3.1).
package identity

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/diaphone-dev/diaphone"
)

// Limits of a token.
const (
	MaxBytes    = 8 << 10          // looked at before it is parsed
	MaxLifetime = time.Hour        // from iat to exp
	Leeway      = 30 * time.Second // by which the backend's clock may differ from ours
)

// Claims are what the backend has signed.
type Claims struct {
	User     diaphone.UserID
	IssuedAt time.Time         // to the second
	Device   diaphone.DeviceID // the only one that it is good for; empty: whichever shows it
	Channels []string          // that it opens: names, and prefixes that end in *
}

// Opens tells whether the token lets its device listen to a channel that asks for
// authorisation. What is sent to one user's sockets is no device's to listen to.
func (c *Claims) Opens(channel diaphone.ChannelName) bool {
	if channel.Kind() == diaphone.Personal {
		return false
	}
	for _, one := range c.Channels {
		prefix, open := strings.CutSuffix(one, "*")
		if one == string(channel) || open && strings.HasPrefix(string(channel), prefix) {
			return true
		}
	}
	return false
}

// Reason says in one word why a token was refused: for metrics, and for the field's code
// once the token has proved to be the backend's.
type Reason string

// The reasons. The first four are told alike to whoever has sent the token.
const (
	TooLong     Reason = "token_too_long"
	Malformed   Reason = "token_malformed"
	UnknownKey  Reason = "token_key_unknown"
	Unsigned    Reason = "token_signature" // or another algorithm than the key's
	Expired     Reason = "token_expired"
	Early       Reason = "token_early"    // by its own word it is not valid yet
	TooGood     Reason = "token_lifetime" // it is valid for longer than an hour, or for ever
	OtherApp    Reason = "token_audience"
	BadClaims   Reason = "token_claims" // one is of another type than it has to be
	BadSubject  Reason = "token_subject"
	OtherDevice Reason = "token_device"
)

// Error implements error.
func (r Reason) Error() string { return string(r) }

// Verify reads a token for a device of the app. The error is Forbidden, points at /token
// and has a Reason as its cause; it carries nothing of the token. What a token says is
// judged only after its signature.
func Verify(app *diaphone.App, device diaphone.DeviceID, token string, now time.Time) (Claims, error) {
	if len(token) > MaxBytes {
		return Claims{}, unproved(TooLong)
	}
	said := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{string(diaphone.EdDSA), string(diaphone.ES256), string(diaphone.HS256)}),
		jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	if _, err := parser.ParseWithClaims(token, said, func(t *jwt.Token) (any, error) { return keyOf(app, t) }); err != nil {
		return Claims{}, forged(err)
	}
	c, err := read(said)
	if err != nil {
		return Claims{}, err
	}
	if err := inForce(app, said, now); err != nil {
		return Claims{}, err
	}
	if err := c.User.Validate(); err != nil {
		return Claims{}, refused(BadSubject, "sub is the user's id: 1 to %d characters that can be printed", diaphone.MaxUserID)
	}
	if c.Device != "" && c.Device != device {
		return Claims{}, refused(OtherDevice, "the token names another device")
	}
	return c, nil
}

// keyOf finds the key that the token names, and refuses it for any other algorithm.
func keyOf(app *diaphone.App, t *jwt.Token) (any, error) {
	kid, isText := t.Header["kid"].(string)
	if _, named := t.Header["kid"]; named && !isText {
		return nil, Malformed
	}
	if _, critical := t.Header["crit"]; critical { // RFC 7515 §4.1.11: we understand none
		return nil, Malformed
	}
	key, ok := app.IdentityKey(kid)
	switch {
	case !ok:
		return nil, UnknownKey
	case t.Method.Alg() != string(key.Algorithm):
		return nil, Unsigned
	case key.Algorithm == diaphone.HS256:
		return []byte(key.Secret.Reveal()), nil
	}
	return key.Public, nil
}

// forged gives the library's errors their meaning, of a token that is not signed.
func forged(err error) error {
	var known Reason
	switch {
	case errors.As(err, &known):
		return unproved(known)
	case errors.Is(err, jwt.ErrTokenMalformed):
		return unproved(Malformed)
	}
	return unproved(Unsigned)
}

// read takes what is signed for what it has to be. A claim that is null is not there.
func read(said jwt.MapClaims) (c Claims, err error) {
	maps.DeleteFunc(said, func(_ string, v any) bool { return v == nil })
	for _, name := range []string{"aud", "sub", "iat", "exp", "nbf", "device", "channels"} {
		v, there := said[name]
		if !there {
			continue
		}
		text, isText := v.(string)
		seconds, isNumber := v.(float64)
		list, isList := texts(v)
		ok, wanted := false, ""
		switch name {
		case "aud":
			ok, wanted = isText || isList, "a string, or a list of strings"
		case "sub":
			c.User, ok, wanted = diaphone.UserID(text), isText, "a string"
		case "device":
			c.Device, ok, wanted = diaphone.DeviceID(text), isText, "a string"
		case "channels":
			c.Channels, ok, wanted = list, isList, "a list of strings"
		case "iat":
			c.IssuedAt, ok, wanted = time.Unix(int64(seconds), 0).UTC(), isNumber, "a number, of seconds since 1970"
		default:
			ok, wanted = isNumber, "a number, of seconds since 1970"
		}
		if !ok {
			return Claims{}, refused(BadClaims, "the claim %s has to be %s", name, wanted)
		}
	}
	return c, nil
}

// texts gives a list of nothing but strings.
func texts(v any) (all []string, ok bool) {
	list, ok := v.([]any)
	for _, one := range list {
		text, isText := one.(string)
		all, ok = append(all, text), ok && isText
	}
	return all, ok
}

// inForce tells whether the token is for the app, and for now.
func inForce(app *diaphone.App, said jwt.MapClaims, now time.Time) error {
	err := jwt.NewValidator(jwt.WithAudience(string(app.ID)), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(func() time.Time { return now })).Validate(said)
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refused(OtherApp, "aud has to name the app: %q", app.ID)
	case errors.Is(err, jwt.ErrTokenExpired):
		return refused(Expired, "the token has expired: fetch a new one from your backend")
	case err != nil:
		return refused(Early, "the token is not valid yet: the clocks of backend and gateway differ by more than %s", Leeway)
	}
	from, _ := said.GetIssuedAt() // their types are known
	to, _ := said.GetExpirationTime()
	if from == nil || to == nil || !to.After(from.Time) || to.Sub(from.Time) > MaxLifetime {
		return refused(TooGood, "both iat and exp are needed, and exp is at most an hour behind iat")
	}
	return nil
}

// unproved tells nothing but that the token is not the backend's: more would help only
// whoever makes tokens up.
func unproved(why Reason) error {
	e := refused(why, "the token is not signed by a key of the app")
	e.Fields[0].Code = "not_signed"
	e.Hint = "kid names one of the app's identity_keys, or a public key of the app whose secret signs with HS256; alg is the key's; at most " + fmt.Sprint(MaxBytes) + " bytes"
	return e
}

func refused(why Reason, format string, args ...any) *diaphone.Error {
	detail := fmt.Sprintf(format, args...)
	return &diaphone.Error{
		Code: diaphone.Forbidden, Detail: detail, Err: why,
		Fields: []diaphone.FieldError{{Pointer: "/token", Code: string(why), Detail: detail}},
	}
}

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{TooLong, Malformed, UnknownKey, Unsigned, Expired, Early, TooGood, OtherApp, BadClaims, BadSubject, OtherDevice}
}
