package rest

import (
	"strconv"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// DefaultPage is how many items a page has when the caller does not say.
const DefaultPage = 100

// maxCursor bounds what is handed to the engine as a cursor.
const maxCursor = 1024

// page reads cursor and limit.
func (c *call) page() (storage.Page, error) {
	q := c.query
	p := storage.Page{Cursor: q.Get("cursor"), Limit: DefaultPage}
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > storage.MaxPage {
			return p, diaphone.InvalidField("/limit", "out_of_range", "limit is a whole number from 1 to %d", storage.MaxPage)
		}
		p.Limit = n
	}
	if q.Has("cursor") && (p.Cursor == "" || len(p.Cursor) > maxCursor) {
		return p, diaphone.InvalidField("/cursor", "malformed", "a cursor is the next_cursor of an earlier page, unchanged")
	}
	return p, nil
}

// flag reads a parameter that is 1 or absent.
func (c *call) flag(name string) (bool, error) {
	if !c.query.Has(name) {
		return false, nil
	}
	if c.query.Get(name) != "1" {
		return false, diaphone.InvalidField("/"+name, "unknown_value", "%s is 1, or left out", name)
	}
	return true, nil
}

// linkNext sets the header Link to the address of the next page (RFC 8288),
// relative to the server, whose public name we do not know.
func (c *call) linkNext(next string) {
	if next == "" {
		return
	}
	c.query.Set("cursor", next)
	c.Response().Header().Set("Link", "<"+c.Request().URL.EscapedPath()+"?"+c.query.Encode()+`>; rel="next"`)
}
