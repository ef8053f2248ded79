package strict

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/diaphone-dev/diaphone"
)

// Query parses the query string and refuses unknown and repeated parameters: a
// misspelt filter must not list everything.
func Query(raw string, known []string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, diaphone.Errorf(diaphone.Malformed, "the query string is not well formed")
	}
	for name, v := range values {
		at := pointer(jsontext.Pointer("").AppendToken(name))
		if !slices.Contains(known, name) {
			return nil, diaphone.InvalidField(at, "unknown_parameter", "%s", unknown("query parameter", name, known))
		}
		if len(v) > 1 {
			return nil, diaphone.InvalidField(at, "duplicate", "the query parameter %s stands %d times", name, len(v))
		}
	}
	return values, nil
}

// Param gives a path parameter decoded. echo leaves it encoded when the path has an
// escape that the standard encoding would not have.
func Param(c echo.Context, name string) (string, error) {
	v := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return v, nil
	}
	v, err := url.PathUnescape(v)
	if err != nil {
		return "", diaphone.InvalidField("/"+name, "malformed", "%s is not percent-encoded as a path asks for", name)
	}
	return v, nil
}

// Bearer gives the bearer token of the request (RFC 6750); empty when there is none.
func Bearer(c echo.Context) string {
	values := c.Request().Header.Values(echo.HeaderAuthorization)
	if len(values) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// Channel reads and checks the path parameter.
func Channel(c echo.Context) (diaphone.ChannelName, error) {
	v, err := Param(c, "channel")
	if err != nil {
		return "", err
	}
	name := diaphone.ChannelName(v)
	return name, At("/channel", name.Validate())
}

// At turns the refusal of a name into one that points at where it stood.
func At(pointer string, err error) error {
	if err == nil {
		return nil
	}
	detail := err.Error()
	var e *diaphone.Error
	if errors.As(err, &e) {
		detail = e.Detail // the part that a caller may see
	}
	return diaphone.InvalidField(pointer, "malformed", "%s", detail)
}
