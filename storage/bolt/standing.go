package bolt

import (
	"context"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
)

// stand notes what stands from now on and what no longer does. What stays as it
// was costs no write.
func (t *txn) stand(begun, ended []storage.Stand) error {
	for _, s := range begun {
		// One that cannot be read is written anew, before it goes to quarantine.
		if _, ok, err := t.get(inStanding, standKey(s)); ok && err == nil {
			continue
		}
		if err := t.put(inStanding, standKey(s), newRecord(0)); err != nil {
			return err
		}
	}
	for _, s := range ended {
		if t.bucket(inStanding).Get(standKey(s)) == nil {
			continue
		}
		if err := t.delete(inStanding, standKey(s)); err != nil {
			return err
		}
	}
	return nil
}

// Standing implements storage.Notices.
func (s *Store) Standing(ctx context.Context, app diaphone.AppID, page storage.Page) (standing []storage.Stand, next string, err error) {
	if err := checkLimit(page); err != nil {
		return nil, "", err
	}
	var of key
	if app != "" {
		of = appKey(app)
	}
	list := cursor{kind: "standing", of: string(of)}
	after, err := list.parseKey(page.Cursor)
	if err != nil {
		return nil, "", err
	}
	err = s.view(ctx, func(t *txn) error {
		standing, next = nil, ""
		from := key(nil)
		if after != nil {
			from = append(after[:len(after):len(after)], 0) // the least key above
		}
		t.scan(inStanding, of, from, func(k, v []byte) bool {
			if _, ok := readAs(t, inStanding, k, v, func(r reader) (struct{}, error) { return struct{}{}, r.end() }); !ok {
				return true
			}
			if len(standing) == page.Limit {
				next = list.textOf(standKey(standing[len(standing)-1]))
				return false
			}
			standing = append(standing, parseStand(k))
			return true
		})
		return nil
	})
	return standing, next, err
}
