package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// pages reads the file format of bbolt (version 2) without bbolt. bbolt maps the
// file and trusts it: over a broken page it panics, sometimes in a goroutine of
// its own, where nobody can catch it. This reader takes no byte for granted, so it
// can judge a file before bbolt sees it, and read what is left of a broken one.
type pages struct {
	file io.ReaderAt
	head pageHead
	seen map[uint64]uint64 // a bit for each page, 64 to an entry

	fault    func(page uint64, what string)
	visit    func(bucket string, k, v []byte)
	sequence func(bucket string, n uint64) // nil: nobody asks
}

// pageHead is what the meta page in force says.
type pageHead struct {
	pageSize uint64
	root     uint64
	pages    uint64 // all that are in use lie below
	tx       uint64 // the transaction that wrote it
}

// bytes is how long the file must be at least.
func (h pageHead) bytes() int64 { return int64(h.pages * h.pageSize) }

// Of bbolt's format.
const (
	pageHeader    = 16
	metaBytes     = 64
	metaMagic     = 0xED0CDAED
	metaVersion   = 2
	flagBranch    = 0x01
	flagLeaf      = 0x02
	elementBytes  = 16
	elementBucket = 0x01
	bucketHeader  = 16
)

// maxPageBytes bounds what a broken length makes us read; no record comes near it.
const maxPageBytes = 64 << 20

// errNoPages: the bytes are not a bbolt file at all, or none that can be read.
var errNoPages = errors.New("neither of its two first pages is that of a store")

// readHead finds the meta page in force: of the two, the newer one that is sound.
func readHead(file io.ReaderAt) (pageHead, error) {
	first, sound := readMeta(file, 0)
	sizes := []uint64{first.pageSize}
	if !sound { // then nobody says where the second one is
		sizes = nil
		for size := uint64(1 << 10); size <= 1<<16; size <<= 1 {
			sizes = append(sizes, size)
		}
	}
	for _, size := range sizes {
		second, ok := readMeta(file, int64(size))
		if ok && second.pageSize == size && (!sound || second.tx > first.tx) {
			return second, nil
		}
	}
	if !sound {
		return pageHead{}, errNoPages
	}
	return first, nil
}

func readMeta(file io.ReaderAt, at int64) (h pageHead, sound bool) {
	b := make([]byte, metaBytes)
	if _, err := file.ReadAt(b, at+pageHeader); err != nil {
		return h, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	native := binary.NativeEndian
	if native.Uint32(b) != metaMagic || native.Uint32(b[4:]) != metaVersion || native.Uint64(b[56:]) != sum.Sum64() {
		return h, false
	}
	h = pageHead{
		pageSize: uint64(native.Uint32(b[8:])), root: native.Uint64(b[16:]),
		pages: native.Uint64(b[40:]), tx: native.Uint64(b[48:]),
	}
	return h, h.pageSize >= 1<<10 && h.pageSize <= 1<<16 && h.pages < 1<<44
}

// walk visits every record of every bucket that can be reached, and tells of
// every page that is not as it must be. What is below such a page is not visited.
func (p *pages) walk() {
	p.seen = map[uint64]uint64{}
	p.tree(p.head.root, span{}, func(_ uint64, e element) {
		if e.flags&elementBucket == 0 {
			p.fault(p.head.root, "the root holds a key that is no bucket")
			return
		}
		p.bucket(e)
	})
}

// bucket walks one bucket: a tree of its own, or a small one within its value.
func (p *pages) bucket(of element) {
	name := string(of.k)
	each := func(page uint64, e element) {
		if e.flags&elementBucket != 0 {
			p.fault(page, "a bucket within a bucket")
			return
		}
		p.visit(name, e.k, e.v)
	}
	if len(of.v) < bucketHeader {
		p.fault(p.head.root, "a bucket without a header")
		return
	}
	if p.sequence != nil {
		p.sequence(name, binary.NativeEndian.Uint64(of.v[8:]))
	}
	if root := binary.NativeEndian.Uint64(of.v); root != 0 {
		p.tree(root, span{}, each)
		return
	}
	inline := of.v[bucketHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != flagLeaf {
		p.fault(p.head.root, "a bucket within its entry is no leaf")
		return
	}
	p.leaf(p.head.root, inline, span{}, each)
}

// span is the range of keys that a page may hold: from is part of it, to is not;
// nil is no bound.
type span struct{ from, to []byte }

func (s span) holds(k []byte) bool {
	return (s.from == nil || bytes.Compare(k, s.from) >= 0) && (s.to == nil || bytes.Compare(k, s.to) < 0)
}

// element is one entry of a leaf.
type element struct {
	flags uint32
	k, v  []byte
}

// tree walks the tree below a page.
func (p *pages) tree(id uint64, keys span, each func(page uint64, e element)) {
	b, err := p.read(id)
	if err != nil {
		p.fault(id, err.Error())
		return
	}
	switch flags := binary.NativeEndian.Uint16(b[8:]); flags {
	case flagLeaf:
		p.leaf(id, b, keys, each)
	case flagBranch:
		p.branch(id, b, keys, each)
	default:
		p.fault(id, fmt.Sprintf("neither a branch nor a leaf, but of kind %#x", flags))
	}
}

// read reads a page with what overflows from it, and takes note of them all.
func (p *pages) read(id uint64) ([]byte, error) {
	if id < 2 || id >= p.head.pages {
		return nil, fmt.Errorf("outside of the file's %d pages", p.head.pages)
	}
	b := make([]byte, p.head.pageSize)
	if _, err := p.file.ReadAt(b, int64(id*p.head.pageSize)); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if is := binary.NativeEndian.Uint64(b); is != id {
		return nil, fmt.Errorf("says that it is page %d", is)
	}
	count := uint64(binary.NativeEndian.Uint32(b[12:])) + 1
	if id+count > p.head.pages || count*p.head.pageSize > maxPageBytes {
		return nil, fmt.Errorf("says that it is %d pages long", count)
	}
	for i := id; i < id+count; i++ {
		if p.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, errors.New("is used twice")
		}
		p.seen[i/64] |= 1 << (i % 64)
	}
	if count > 1 {
		b = make([]byte, count*p.head.pageSize)
		if _, err := p.file.ReadAt(b, int64(id*p.head.pageSize)); err != nil {
			return nil, fmt.Errorf("cannot be read: %w", err)
		}
	}
	return b, nil
}

// count gives how many elements a page has; false: they do not fit.
func (p *pages) count(id uint64, page []byte) (int, bool) {
	n := int(binary.NativeEndian.Uint16(page[10:]))
	if pageHeader+n*elementBytes > len(page) {
		p.fault(id, fmt.Sprintf("says that it has %d entries", n))
		return 0, false
	}
	return n, true
}

// cut takes a piece out of a page.
func cut(page []byte, at, size uint64) ([]byte, bool) {
	if at > uint64(len(page)) || size > uint64(len(page))-at {
		return nil, false
	}
	return page[at : at+size], true
}

func (p *pages) leaf(id uint64, page []byte, keys span, each func(page uint64, e element)) {
	n, ok := p.count(id, page)
	if !ok {
		return
	}
	var last []byte
	for i := range n {
		at := uint64(pageHeader + i*elementBytes)
		head := page[at:]
		pos, ksize := uint64(binary.NativeEndian.Uint32(head[4:])), uint64(binary.NativeEndian.Uint32(head[8:]))
		k, ok1 := cut(page, at+pos, ksize)
		v, ok2 := cut(page, at+pos+ksize, uint64(binary.NativeEndian.Uint32(head[12:])))
		switch {
		case !ok1 || !ok2:
			p.fault(id, fmt.Sprintf("entry %d reaches beyond the page", i))
			continue
		case i > 0 && bytes.Compare(last, k) >= 0, !keys.holds(k):
			p.fault(id, fmt.Sprintf("entry %d is out of order", i))
		}
		last = k
		each(id, element{binary.NativeEndian.Uint32(head), k, v})
	}
}

func (p *pages) branch(id uint64, page []byte, keys span, each func(page uint64, e element)) {
	n, ok := p.count(id, page)
	if !ok {
		return
	}
	if n == 0 {
		p.fault(id, "a branch without entries")
	}
	type child struct {
		k    []byte
		page uint64
	}
	children := make([]child, 0, n)
	for i := range n {
		at := uint64(pageHeader + i*elementBytes)
		head := page[at:]
		k, ok := cut(page, at+uint64(binary.NativeEndian.Uint32(head)), uint64(binary.NativeEndian.Uint32(head[4:])))
		switch {
		case !ok:
			p.fault(id, fmt.Sprintf("entry %d reaches beyond the page", i))
			continue
		case len(children) > 0 && bytes.Compare(children[len(children)-1].k, k) >= 0, !keys.holds(k):
			p.fault(id, fmt.Sprintf("entry %d is out of order", i))
		}
		children = append(children, child{k, binary.NativeEndian.Uint64(head[8:])})
	}
	for i, c := range children {
		below := span{c.k, keys.to}
		if i+1 < len(children) {
			below.to = children[i+1].k
		}
		p.tree(c.page, below, each)
	}
}
