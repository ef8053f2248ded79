package client

import (
	"iter"
	"net/url"
	"strconv"

	"github.com/diaphone-dev/diaphone/api/wire"
)

// PageOptions ask for one page of a list.
type PageOptions struct {
	Cursor string // the NextCursor of the page before; empty: the first
	Limit  int    // 1 to 1000; 0: the gateway's default, 100
}

func (o PageOptions) query() url.Values {
	q := url.Values{}
	if o.Cursor != "" {
		q.Set("cursor", o.Cursor)
	}
	if o.Limit != 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	return q
}

// all walks through the pages of a list.
func all[T any](page func(PageOptions) (wire.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		o := PageOptions{Limit: 1000}
		for {
			p, err := page(o)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range p.Data {
				if !yield(item, nil) {
					return
				}
			}
			if o.Cursor = p.NextCursor; o.Cursor == "" {
				return
			}
		}
	}
}
