package bolt

import (
	"bytes"
	"slices"
	"sort"

	"github.com/diaphone-dev/diaphone"
)

// The plan of a broadcast to a million devices has a thousand pages. Its walk goes
// through the sources in order, and through each source by device number, and every
// page says where in the walk it begins: so the page that has planned a device is found
// by halving, and most devices have belonged to the audience in one way only.

// owed is a delivery as it was planned.
type owed struct {
	page   uint32
	roster *roster
	index  int // in the roster
}

// find gives the delivery that a written page has planned for the device; nil: none has.
func (p *plan) find(id diaphone.DeviceID) (*owed, error) {
	s := search{plan: p, id: id, begins: map[uint32]position{}, looked: map[uint32]bool{}}
	return s.run()
}

// waysOf gives the sources that may have led the walk to the device.
func (p *plan) waysOf(d *device) []int {
	if d.lost <= p.accepted {
		if first, _ := p.firstMembership(d, -1); first >= 0 {
			return []int{first}
		}
		return nil
	}
	all := make([]int, len(p.sources))
	for k := range all {
		all[k] = k
	}
	return all
}

// reads gives the position at which the walk reads the device from source k.
func (p *plan) reads(d *device, k int) (at position, led bool) {
	if named := p.sources[k].devices; named != nil {
		i := slices.Index(named, d.ID)
		return position{k, uint64(max(i, 0))}, i >= 0
	}
	return position{k, d.num - 1}, true
}

// search is one look for a device.
type search struct {
	*plan
	id     diaphone.DeviceID
	begins map[uint32]position
	looked map[uint32]bool
	blind  bool // a page does not say where it begins
}

func (s *search) run() (*owed, error) {
	d, known, err := s.t.deviceByID(s.of.app, s.id)
	if err != nil && !isDamage(err) {
		return nil, err
	}
	if known {
		for _, k := range s.waysOf(d) {
			at, led := s.reads(d, k)
			if !led {
				continue
			}
			if found := s.look(s.pageOf(at)); found != nil {
				return found, nil
			}
		}
	}
	if known && d.num < s.accepted && !s.blind {
		return nil, nil
	}
	// It is deleted, or there may have been another of its name: only the pages know.
	return s.scan(), nil
}

// pageOf gives the last page that begins at the position or before it: no other can
// have what the walk has read there.
func (s *search) pageOf(at position) uint32 {
	after := sort.Search(int(s.pages), func(i int) bool { return s.begin(uint32(i)).compare(at) > 0 })
	return uint32(max(after-1, 0))
}

func (s *search) begin(page uint32) position {
	at, known := s.begins[page]
	if known {
		return at
	}
	r, ok, err := s.t.get(inRosters, s.of.page(page))
	if err == nil && ok {
		at, err = rosterBegins(r)
	}
	s.blind = s.blind || !ok || err != nil || page > 0 && at == (position{})
	s.begins[page] = at
	return at
}

// look reads a page, once.
func (s *search) look(page uint32) *owed {
	if page >= s.pages || s.looked[page] {
		return nil
	}
	s.looked[page] = true
	// A quick look at the bytes spares decoding nearly every page that does not have it.
	if !bytes.Contains(s.t.bucket(inRosters).Get(s.of.page(page)), []byte(s.id)) {
		return nil
	}
	r, ok, err := s.t.roster(s.of, page)
	if err != nil || !ok {
		return nil // it is damaged, and that has been told
	}
	i := slices.IndexFunc(r.entries, func(e entry) bool { return e.device == s.id })
	if i < 0 {
		return nil
	}
	return &owed{page: page, roster: r, index: i}
}

func (s *search) scan() *owed {
	for page := range s.pages {
		if found := s.look(page); found != nil {
			return found
		}
	}
	return nil
}
