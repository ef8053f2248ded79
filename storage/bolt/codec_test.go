package bolt

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// decodeAll hands a payload to every decoder; none may panic, or make more of it
// than there is.
func decodeAll(b []byte) {
	_, _ = decodeDevice(reader{b: b}, "1", 1)
	_, _ = decodeMessage(reader{b: b}, message{app: "1"})
	_, _ = decodeProgress(reader{b: b})
	_, _ = decodeRoster(reader{b: b})
	_, _ = rosterBegins(reader{b: b})
	_, _ = decodeBatch(reader{b: b})
	_, _ = decodeSteps(reader{b: b})
	_, _ = decodeStepsOf(reader{b: b}, 1, 2)
	_, _ = decodeNotice(reader{b: b})
	_, _ = decodeDead(reader{b: b})
	_, _ = decodeTally(reader{b: b})
	_, _ = queueOf(b)
	_, _ = parseQueue(b), parseStand(b)
	_, _ = open(inDevices, b, b)
	_, _ = parseTicket(b)
	_, _, _ = parseChunkKey(b)
	_, _ = cursor{kind: "devices"}.parse(string(b), 2)
	_, _ = cursor{kind: "devices"}.parseKey(string(b))
}

func FuzzDecode(f *testing.F) {
	d := device{Device: testDevice("d"), since: []uint64{3}}
	d.Tags = map[string]string{"a": "b"}
	m, _ := messageRecord(testMessage("d", "e"))
	n := testNotice("n")
	r := roster{lanes: []diaphone.Lane{testLane}, entries: []entry{{device: "d", kind: diaphone.TokenFCM}, {device: "e", lane: -1, reason: "no_token"}}}
	for _, seed := range [][]byte{d.record(), m, (&progress{idem: []byte("x")}).record(), r.record(), batch{{1, 2}, {5, 0}}.record(),
		noticeRecord(&n, n.At), deadRecord(&storage.QueuedNotice{Notice: n}, "410", time.Now()), (&tally{7, 2, 1}).record()} {
		f.Add(seed[1:])
	}
	k := ticket{lane: testLane, due: 5}
	f.Add([]byte(k.key()))
	f.Fuzz(func(_ *testing.T, b []byte) { decodeAll(b) })
}

// trip seals a record and opens it again.
func trip(t *rapid.T, r record) reader {
	value := r.seal(inDevices, key("k"))
	back, err := open(inDevices, key("k"), value)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	for _, wrong := range []struct {
		b bucket
		k key
	}{{inMessages, key("k")}, {inDevices, key("l")}} {
		if _, err := open(wrong.b, wrong.k, value); !errors.Is(err, errBad) {
			t.Fatalf("a record in another place: %v", err)
		}
	}
	return back
}

func texts(t *rapid.T, label string, most int) []string {
	return rapid.SliceOfN(rapid.String(), 0, most).Draw(t, label)
}

func drawTime(t *rapid.T, label string) time.Time {
	return fromMillis(rapid.Int64Range(-1<<41, 1<<42).Draw(t, label))
}

func drawToken(t *rapid.T) diaphone.Token {
	value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-f]{64}`), rapid.StringMatching(`[A-Za-z0-9_-]{0,40}:?[A-Za-z0-9_-]{0,140}[\r\n:=]?`), rapid.StringMatching(`[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)).Draw(t, "token")
	return diaphone.Token{
		Kind:        rapid.SampledFrom([]diaphone.TokenKind{diaphone.TokenAPNs, diaphone.TokenFCM, "a-later-kind"}).Draw(t, "kind"),
		Value:       diaphone.Secret(value),
		Environment: rapid.SampledFrom([]diaphone.Environment{"", diaphone.Sandbox, "other"}).Draw(t, "environment"), RegisteredAt: drawTime(t, "registered"),
		Topic: rapid.SampledFrom([]string{"", "", "com.example"}).Draw(t, "topic"), GoneAt: drawTimeOrNone(t, "gone"),
	}
}

func drawTimeOrNone(t *rapid.T, label string) time.Time {
	if rapid.Bool().Draw(t, label+"?") {
		return drawTime(t, label)
	}
	return time.Time{}
}

func TestDeviceRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &device{num: 5, lost: rapid.Uint64().Draw(t, "lost")}
		want.App, want.ID = "1", diaphone.DeviceID(rapid.String().Draw(t, "id"))
		want.Platform = rapid.SampledFrom([]diaphone.Platform{diaphone.IOS, diaphone.Web, "fridge"}).Draw(t, "platform")
		want.CreatedAt, want.UpdatedAt = drawTime(t, "created"), drawTime(t, "updated")
		if want.User = diaphone.UserID(rapid.String().Draw(t, "user")); want.User != "" {
			want.userSince = rapid.Uint64().Draw(t, "user since")
		}
		for _, c := range texts(t, "channels", 4) {
			want.Channels = append(want.Channels, diaphone.ChannelName(c))
			want.since = append(want.since, rapid.Uint64().Draw(t, "since"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "tokens") {
			want.Tokens = append(want.Tokens, drawToken(t))
		}
		want.Locale, want.TimeZone = rapid.String().Draw(t, "locale"), rapid.String().Draw(t, "time zone")
		if tags := rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "tags"); len(tags) > 0 {
			want.Tags = maps.Clone(tags)
		}
		if rapid.Bool().Draw(t, "secret") {
			want.SecretHash = diaphone.HashToken("secret")
		}
		want.BindsFrom = drawTimeOrNone(t, "binds from")
		got, err := decodeDevice(trip(t, want.record()), "1", 5)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v, %v", got, want, err)
		}
	})
}

func TestPackedTextIsSmall(t *testing.T) {
	fcm := strings.Repeat("dAm_-", 4) + "Qz:APA91b" + strings.Repeat("xY7-", 32)
	for _, c := range []struct {
		text string
		most int
	}{
		{strings.Repeat("0a", 32), 35}, {"0198c2a4-0000-7000-8000-000000000000", 18}, {fcm, 6 + (len(fcm)*3+3)/4}, {"plain text", 13},
	} {
		r := newRecord(0)
		r.packed(c.text)
		if n := len(r) - 1; n > c.most {
			t.Errorf("%q takes %d bytes, want at most %d", c.text, n, c.most)
		}
		if back := (&reader{b: r[1:]}).packed(); back != c.text {
			t.Errorf("%q comes back as %q", c.text, back)
		}
	}
}

// A device that has nothing of what came later is written as ever: files of before can
// be read, and no device has become larger.
func TestDeviceRecordOfBefore(t *testing.T) {
	const before = "01086f6c642d697061640180d092f6c766d00f00036265630901046e657773070101010400ff10aa03a006026465000101780179"
	d := &device{num: 5, userSince: 9, since: []uint64{7}}
	d.App, d.ID, d.Platform, d.User = "1", "old-ipad", diaphone.IOS, "bec"
	d.CreatedAt, d.UpdatedAt = fromMillis(1_762_000_000_000), fromMillis(1_762_000_001_000)
	d.Channels, d.Locale, d.Tags = []diaphone.ChannelName{"news"}, "de", map[string]string{"x": "y"}
	d.Tokens = []diaphone.Token{{Kind: diaphone.TokenAPNs, Value: "00ff10aa", Environment: diaphone.Sandbox, RegisteredAt: fromMillis(1_762_000_000_400)}}
	if got := hex.EncodeToString(d.record()); got != before {
		t.Fatalf("written as\n%s, was\n%s", got, before)
	}
	raw, _ := hex.DecodeString(before)
	got, err := decodeDevice(reader{b: raw[1:]}, "1", 5)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("got %+v, want %+v, %v", got, d, err)
	}
}

func TestQueueRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indices := rapid.SliceOfDistinct(rapid.Uint32Range(0, 1<<31-1), rapid.ID).Draw(t, "indices")
		slices.Sort(indices)
		want := batch{}
		for _, i := range indices {
			want = append(want, item{i, rapid.IntRange(0, 1<<20).Draw(t, "tries")})
		}
		got, err := decodeBatch(trip(t, want.record()))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v, %v", got, want, err)
		}
		r := &roster{lanes: []diaphone.Lane{}, entries: []entry{}}
		for _, c := range texts(t, "credentials", 3) {
			r.lanes = append(r.lanes, diaphone.Lane{App: "1", Credential: c})
		}
		for _, d := range texts(t, "devices", 5) {
			e := entry{device: diaphone.DeviceID(d), lane: rapid.IntRange(-1, len(r.lanes)-1).Draw(t, "lane")}
			if e.lane < 0 {
				e.reason = rapid.String().Draw(t, "reason")
			} else {
				e.kind = rapid.SampledFrom([]diaphone.TokenKind{diaphone.TokenAPNs, "later"}).Draw(t, "kind")
			}
			r.entries = append(r.entries, e)
		}
		r.from = position{rapid.IntRange(0, 3).Draw(t, "source"), rapid.Uint64().Draw(t, "after")}
		back, err := decodeRoster(trip(t, r.record()))
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("got %+v, want %+v, %v", back, r, err)
		}
		from, err := rosterBegins(trip(t, r.record()))
		if err != nil || from != r.from {
			t.Fatalf("begins at %v, want %v, %v", from, r.from, err)
		}
	})
}

func TestKeysSortAsTheirNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		if got := bytes.Compare(deviceKey("1", a), deviceKey("1", b)); got != cmp.Compare(a, b) {
			t.Fatalf("%d and %d compare as %d", a, b, got)
		}
		back, rest, ok := cutOrder(key(nil).order(a).raw(7))
		if !ok || back != a || !bytes.Equal(rest, []byte{7}) {
			t.Fatalf("got %d, %v, %v", back, rest, ok)
		}
		want := ticket{
			lane:  diaphone.Lane{App: diaphone.AppID(rapid.String().Draw(t, "app")), Credential: rapid.String().Draw(t, "credential")},
			class: classBulk, due: a, page: 7, order: b, id: [16]byte{1, 15: 2},
		}
		if got, ok := parseTicket(want.key()); !ok || got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		app, from, ok := parseChunkKey(chunkKey(want.lane.App, pair{a, b}))
		if !ok || app != want.lane.App || from != (pair{a, b}) {
			t.Fatalf("got %q, %v, %v", app, from, ok)
		}
	})
}

// No app's or lane's keys lie among another's, whatever their names.
func TestPrefixesDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if a == b {
			return
		}
		if bytes.HasPrefix(appKey(diaphone.AppID(a)).text("x"), appKey(diaphone.AppID(b))) {
			t.Fatalf("app %q lies within app %q", a, b)
		}
	})
}

// An index against a map of sets, through splits, removals and rebuilding.
func TestIndexAgainstModel(t *testing.T) {
	s := newStore(t, Options{})
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		app := diaphone.AppID(string(rune('a' + round)))
		model := map[uint64]map[uint64]bool{}
		// Few hashes make long runs, many make short ones.
		hashes := rapid.Uint64Range(0, rapid.SampledFrom([]uint64{2, 40, 1 << 60}).Draw(rt, "spread"))
		err := s.write(t.Context(), moves, func(tx *txn) error {
			x := tx.index(inUsers, app)
			for range rapid.IntRange(0, 6*maxChunk).Draw(rt, "entries") {
				p := pair{hashes.Draw(rt, "hash"), uint64(rapid.IntRange(1, 5000).Draw(rt, "num"))}
				if model[p.hash] == nil {
					model[p.hash] = map[uint64]bool{}
				}
				if rapid.IntRange(0, 3).Draw(rt, "remove") > 0 {
					model[p.hash][p.num] = true
					if err := x.add(p); err != nil {
						return err
					}
					continue
				}
				delete(model[p.hash], p.num)
				if err := x.remove(p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		for hash, nums := range model {
			var got []uint64
			if err := s.view(t.Context(), func(tx *txn) error {
				got = nil
				return tx.index(inUsers, app).after(hash, 0, func(n uint64) bool { got = append(got, n); return true })
			}); err != nil {
				rt.Fatal(err)
			}
			if want := slices.Sorted(maps.Keys(nums)); !slices.Equal(got, want) {
				rt.Fatalf("hash %d: got %v, want %v", hash, got, want)
			}
		}
	})
	if err := s.view(t.Context(), func(tx *txn) error {
		chunks := 0
		err := tx.bucket(inUsers).ForEach(func(k, v []byte) error {
			c, err := tx.index(inUsers, "").decode(k, v)
			chunks++
			if len(c.pairs) == 0 || len(c.pairs) > maxChunk {
				t.Errorf("a chunk of %d", len(c.pairs))
			}
			return err
		})
		if chunks < round+round/4 {
			t.Errorf("%d chunks in %d rounds: the test splits too little", chunks, round)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A channel that grows at its end fills its chunks.
func TestIndexFillsUp(t *testing.T) {
	s := newStore(t, Options{})
	err := s.write(t.Context(), moves, func(tx *txn) error {
		for n := range uint64(100 * maxChunk) {
			if err := tx.index(inChannels, testApp).add(pair{7, n + 1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.View(func(tx *bbolt.Tx) error {
		if n := tx.Bucket([]byte(inChannels.String())).Stats().KeyN; n != 100 {
			t.Errorf("%d chunks for %d entries", n, 100*maxChunk)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
