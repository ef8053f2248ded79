package bolt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/diaphone-dev/diaphone"
)

// An index finds devices by something in their records: id, token, user,
// channel. It is a sorted set of pairs (hash of that thing, device number), cut
// into chunks of at most maxChunk pairs, each a stored record. Pairs are written
// as differences, so a member of a large channel costs two or three bytes and
// any other entry about ten, where a key of its own would cost sixty.
//
// An entry only says where to look: the device's record decides. So two things
// with the same hash do no harm, a stale entry serves nothing wrong, and a chunk
// that is lost to damage can be built again from the records.
type index struct {
	t   *txn
	in  bucket
	app diaphone.AppID
}

// pair is one entry.
type pair struct{ hash, num uint64 }

func comparePairs(a, b pair) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.num, b.num))
}

const maxChunk = 64

func (t *txn) index(in bucket, app diaphone.AppID) index { return index{t, in, app} }

// hashOf gives the first half of an index entry.
func hashOf(text string) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:])
}

func hashToken(t diaphone.Token) uint64 {
	return hashOf(string(t.Kind) + "\x00" + t.Value.Reveal())
}

// hashes gives what the index should hold of a device.
func (b bucket) hashes(d *device) (list []uint64) {
	switch b {
	case inIDs:
		if d.ID != "" {
			list = append(list, hashOf(string(d.ID)))
		}
	case inUsers:
		if d.User != "" {
			list = append(list, hashOf(string(d.User)))
		}
	case inChannels:
		for _, c := range d.Channels {
			list = append(list, hashOf(string(c)))
		}
	case inTokens:
		for _, t := range d.Tokens {
			list = append(list, hashToken(t))
		}
	}
	return list
}

func isIndex(b bucket) bool {
	return b == inIDs || b == inUsers || b == inChannels || b == inTokens
}

// chunk is one record of an index. Its key is the least pair that it may hold;
// that of an app's first chunk is the app alone.
type chunk struct {
	key   key
	pairs []pair
}

func chunkKey(app diaphone.AppID, from pair) key {
	return appKey(app).uint64(from.hash).order(from.num)
}

// parseChunkKey is the inverse of chunkKey.
func parseChunkKey(k []byte) (app diaphone.AppID, from pair, ok bool) {
	text, rest, ok := cutText(k)
	if !ok || len(rest) == 0 {
		return diaphone.AppID(text), pair{}, ok
	}
	if len(rest) < 8 {
		return "", pair{}, false
	}
	num, _, ok := cutOrder(rest[8:])
	return diaphone.AppID(text), pair{binary.BigEndian.Uint64(rest), num}, ok
}

func (x index) decode(k, value []byte) (chunk, error) {
	r, err := open(x.in, k, value)
	if err != nil {
		return chunk{}, x.t.bad(x.in, k, value, err)
	}
	pairs, err := decodePairs(r)
	if err != nil {
		return chunk{}, x.t.bad(x.in, k, value, err)
	}
	return chunk{key: bytes.Clone(k), pairs: pairs}, nil
}

func decodePairs(r reader) ([]pair, error) {
	pairs := make([]pair, 0, maxChunk+1)
	err := eachPair(r, func(p pair) bool {
		pairs = append(pairs, p)
		return true
	})
	return pairs, err
}

// eachPair calls visit for the pairs of a chunk, ascending, until it says stop.
func eachPair(r reader, visit func(pair) (more bool)) error {
	last := pair{}
	for range r.count() {
		if up := r.uint(); up > 0 {
			last = pair{hash: last.hash + up}
		}
		last.num += r.uint()
		if r.err == nil && !visit(last) {
			return nil
		}
	}
	return r.end()
}

func (x index) write(c chunk) error {
	if len(c.pairs) == 0 {
		return x.t.delete(x.in, c.key)
	}
	r := newRecord(2 + 10*len(c.pairs))
	r.number(len(c.pairs))
	last := pair{}
	for _, p := range c.pairs {
		r.uint(p.hash - last.hash)
		if p.hash != last.hash {
			last.num = 0
		}
		r.uint(p.num - last.num)
		last = p
	}
	return x.t.put(x.in, c.key, r)
}

// chunkOf gives the chunk that holds the pair, or would.
func (x index) chunkOf(p pair) (chunk, error) {
	k, v := x.find(p)
	if k == nil {
		return chunk{key: appKey(x.app)}, nil
	}
	return x.decode(k, v)
}

// find gives the stored form of that chunk; nil: there is none.
func (x index) find(p pair) (k, v []byte) {
	c := x.t.bucket(x.in).Cursor()
	want := chunkKey(x.app, p)
	if k, v = c.Seek(want); k == nil {
		k, v = c.Last()
	}
	if k != nil && bytes.Compare(k, want) > 0 {
		k, v = c.Prev()
	}
	if !bytes.HasPrefix(k, appKey(x.app)) {
		return nil, nil
	}
	return k, v
}

// add puts an entry in; being there already costs no write.
func (x index) add(p pair) error {
	c, err := x.chunkOf(p)
	if err != nil {
		return err
	}
	i, there := slices.BinarySearchFunc(c.pairs, p, comparePairs)
	if there {
		return nil
	}
	c.pairs = slices.Insert(c.pairs, i, p)
	if len(c.pairs) <= maxChunk {
		return x.write(c)
	}
	// New devices have the greatest numbers, so large channels grow at the end of
	// their entries: a chunk that is full there stays full, others are halved.
	cut := len(c.pairs) / 2
	if i == len(c.pairs)-1 {
		cut = i
	}
	upper := chunk{key: chunkKey(x.app, c.pairs[cut]), pairs: c.pairs[cut:]}
	c.pairs = c.pairs[:cut]
	if err := x.write(c); err != nil {
		return err
	}
	return x.write(upper)
}

// remove takes an entry out; not being there costs no write.
func (x index) remove(p pair) error {
	c, err := x.chunkOf(p)
	if err != nil {
		return err
	}
	i, there := slices.BinarySearchFunc(c.pairs, p, comparePairs)
	if !there {
		return nil
	}
	c.pairs = slices.Delete(c.pairs, i, i+1)
	return x.write(c)
}

// after calls visit for the device numbers above num that share the hash,
// ascending, until it says stop.
func (x index) after(hash, num uint64, visit func(num uint64) (more bool)) error {
	from := pair{hash, num + 1}
	more := true
	each := func(k, v []byte) (err error) {
		r, err := open(x.in, k, v)
		if err == nil {
			err = eachPair(r, func(p pair) bool {
				if comparePairs(p, from) >= 0 {
					more = p.hash == hash && visit(p.num)
				}
				return more
			})
		}
		if err != nil {
			return x.t.bad(x.in, k, v, err)
		}
		return nil
	}
	first, v := x.find(from)
	if first != nil {
		if err := each(first, v); err != nil || !more {
			return err
		}
	}
	var err error
	x.t.scan(x.in, appKey(x.app), append(bytes.Clone(first), 0), func(k, v []byte) bool {
		err = each(k, v)
		return more && err == nil
	})
	return err
}

// rebuild fills the place of a lost chunk from the records of the app's devices.
func (t *txn) rebuild(in bucket, lost []byte) error {
	app, from, ok := parseChunkKey(lost)
	if !ok {
		return nil
	}
	var end pair // of the next chunk; zero: there is none
	t.scan(in, appKey(app), append(slices.Clone(lost), 0), func(k, _ []byte) bool {
		_, end, _ = parseChunkKey(k)
		return false
	})
	x := t.index(in, app)
	var failure error
	err := t.eachDevice(app, "", 0, func(d *device) bool {
		for _, hash := range in.hashes(d) {
			p := pair{hash, d.num}
			if comparePairs(p, from) < 0 || end != (pair{}) && comparePairs(p, end) >= 0 {
				continue
			}
			if failure = x.add(p); failure != nil {
				return false
			}
		}
		return true
	})
	return cmp.Or(failure, err)
}
