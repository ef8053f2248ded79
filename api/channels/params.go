package channels

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
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

// query has the parameters of a request as they are signed: each name once, in lower
// case, and in order of the names.
type query []param

type param struct{ name, value string }

func (q query) find(name string) (value string, given bool) {
	for _, p := range q { // few
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// get gives the empty string for what is not there.
func (q query) get(name string) string {
	value, _ := q.find(name)
	return value
}

// parseQuery decodes a query into the memory of q. Of parameters with one name the last
// counts, but a doubled auth parameter is refused: which of the two counts is what
// request smuggling lives on. The array of channels stands in the query as it is signed,
// "a&channels[]=b" (pusher-signature).
func parseQuery(q query, raw string) (_ query, channels []string, err error) {
	q = q[:0]
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
		if name == paramChannels {
			channels = append(channels, value)
		}
		q = append(q, param{name, value})
	}
	slices.SortStableFunc(q, func(a, b param) int { return strings.Compare(a.name, b.name) })
	each := q[:0]
	for _, p := range q {
		last := len(each) - 1
		switch {
		case last < 0 || each[last].name != p.name:
			each = append(each, p)
		case strings.HasPrefix(p.name, "auth_") || p.name == paramBodyMD5:
			return nil, nil, refusef(http.StatusUnauthorized, "Parameter %s is given twice", p.name)
		default:
			each[last] = p
		}
	}
	if len(channels) > 1 {
		i := slices.IndexFunc(each, func(p param) bool { return p.name == paramChannels })
		each[i].value = strings.Join(channels, "&"+paramChannels+"=")
	}
	return each, channels, nil
}

// pathParam decodes a parameter of the path: echo matches the escaped path when there
// is one, and gives its pieces as they are.
func pathParam(c echo.Context, name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value
	}
	if plain, err := url.PathUnescape(value); err == nil {
		return plain
	}
	return value
}
