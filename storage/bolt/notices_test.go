package bolt

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/storage"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

var testHook = diaphone.WebhookID{App: testApp, Name: "backend"}

func testNotice(id string) diaphone.Notice {
	return diaphone.Notice{ID: id, At: stamp(time.Now()), Kind: diaphone.MemberAdded, Channel: "presence-chat", User: "ana"}
}

// testAppend owes notices with these ids to the webhooks.
func testAppend(ids []string, to ...diaphone.WebhookID) (a storage.Append) {
	for _, id := range ids {
		a.Notices = append(a.Notices, storage.AddressedNotice{Notice: testNotice(id), Webhooks: to})
		a.Begun = append(a.Begun, storage.Stand{App: testApp, Channel: "presence-chat", User: diaphone.UserID(id)})
	}
	return a
}

func mustAppend(t testing.TB, s *Store, a storage.Append) {
	t.Helper()
	if err := s.Append(context.Background(), a); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func state(t testing.TB, s *Store, id diaphone.WebhookID) storage.NoticeQueue {
	t.Helper()
	queues, err := s.Queues(context.Background(), id.App)
	if err != nil {
		t.Fatalf("queues: %v", err)
	}
	for _, q := range queues {
		if q.Webhook == id {
			return q
		}
	}
	return storage.NoticeQueue{}
}

func TestNoticeRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := diaphone.Notice{
			ID: rapid.OneOf(rapid.String(), rapid.StringMatching(`(ntc_|msg_)[0-9a-v]{26}`), rapid.Just("ntc_06f3k9q2v8c7h0a1b2c3d4e5f4")).Draw(t, "id"), At: drawTime(t, "at"),
			Kind:    rapid.OneOf(rapid.SampledFrom(diaphone.NoticeKinds()), rapid.Just(diaphone.NoticeKind("later"))).Draw(t, "kind"),
			Channel: diaphone.ChannelName(rapid.String().Draw(t, "channel")), User: diaphone.UserID(rapid.String().Draw(t, "user")),
			Socket: diaphone.SocketID(rapid.String().Draw(t, "socket")), Event: rapid.String().Draw(t, "event"),
			Data: rapid.String().Draw(t, "data"), Count: rapid.IntRange(0, 1<<31-1).Draw(t, "count"),
		}
		waiting := storage.QueuedNotice{Since: drawTime(t, "since"), Notice: want}
		got, err := decodeNotice(trip(t, noticeRecord(&want, waiting.Since)))
		if err != nil || got != waiting {
			t.Fatalf("got %+v, want %+v, %v", got, waiting, err)
		}
		letter := storage.DeadLetter{QueuedNotice: waiting, Reason: rapid.String().Draw(t, "reason"), Buried: drawTime(t, "buried")}
		dead, err := decodeDead(trip(t, deadRecord(&waiting, letter.Reason, letter.Buried)))
		if err != nil || dead != letter {
			t.Fatalf("got %+v, want %+v, %v", dead, letter, err)
		}
		id := diaphone.WebhookID{App: diaphone.AppID(rapid.String().Draw(t, "app")), Name: rapid.String().Draw(t, "name")}
		queue, ok := queueOf(placeKey(queueKey(id), rapid.Uint64().Draw(t, "number")))
		if !ok || parseQueue(queue) != id {
			t.Fatalf("got %+v, want %+v", parseQueue(queue), id)
		}
		stands := storage.Stand{App: id.App, Channel: want.Channel, User: want.User}
		if got := parseStand(standKey(stands)); got != stands {
			t.Fatalf("got %+v, want %+v", got, stands)
		}
	})
	if !reflect.DeepEqual(toStrings(diaphone.NoticeKinds()), noticeKinds()[:len(diaphone.NoticeKinds())]) {
		t.Error("a kind of notice has no abbreviation, or another's")
	}
}

func toStrings[T ~string](list []T) (out []string) {
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// A notice costs little more than what it says.
func TestNoticesAreCompact(t *testing.T) {
	s := newStore(t, Options{})
	before := s.Stats().WrittenBytes
	n := testNotice("ntc_06f3k9q2v8c7h0a1b2c3d4e5f4")
	mustAppend(t, s, storage.Append{Notices: []storage.AddressedNotice{{Notice: n, Webhooks: []diaphone.WebhookID{testHook}}}})
	if wrote := s.Stats().WrittenBytes - before; wrote > 90 {
		t.Errorf("a notice with its tally has taken %d bytes", wrote)
	}
}

const populationOfNotices = 60 // of which 20 are dead

func populateNotices(t *testing.T, s *Store) {
	t.Helper()
	ids := make([]string, populationOfNotices)
	for i := range ids {
		ids[i] = fmt.Sprintf("d001-%d", i+1)
	}
	mustAppend(t, s, testAppend(ids, testHook))
	if err := s.Bury(t.Context(), testHook, 20, "410 Gone", time.Now()); err != nil {
		t.Fatal(err)
	}
}

// readNotices: at most the record that was damaged is missing, and the counts are
// those of what is there.
func readNotices(t *testing.T, s *Store, b bucket) {
	t.Helper()
	least := map[bool]int{true: 1}
	front, err := s.Front(t.Context(), testHook, 1<<20)
	if err != nil || len(front) < populationOfNotices-20-least[b == inNotices] {
		t.Fatalf("%d notices, %v", len(front), err)
	}
	dead, _, err := s.DeadLetters(t.Context(), testHook, storage.Page{Limit: storage.MaxPage})
	if err != nil || len(dead) < 20-least[b == inDead] {
		t.Fatalf("%d dead letters, %v", len(dead), err)
	}
	for _, q := range append(front, queued(dead)...) {
		if q.Notice.ID != fmt.Sprintf("d001-%d", (q.Seq-1)%populationOfNotices+1) {
			t.Fatalf("number %d is %s", q.Seq, q.Notice.ID)
		}
	}
	standing, _, err := s.Standing(t.Context(), testApp, storage.Page{Limit: storage.MaxPage})
	if err != nil || len(standing) < populationOfNotices-least[b == inStanding] {
		t.Fatalf("%d stand, %v", len(standing), err)
	}
	if err := s.Check(t.Context()); err != nil { // a write: what is damaged goes with it
		t.Fatal(err)
	}
	if q := state(t, s, testHook); q.Pending != int64(len(front)) || q.Dead != int64(len(dead)) || q.Last < populationOfNotices || !q.Oldest.Equal(front[0].Since) {
		t.Fatalf("%d are pending and %d dead, the state says %+v", len(front), len(dead), q)
	}
}

func queued(dead []storage.DeadLetter) (list []storage.QueuedNotice) {
	for _, l := range dead {
		list = append(list, l.QueuedNotice)
	}
	return list
}

// useNotices ends everything in a queue of its own, and in the populated one
// something that leaves it as it is.
func useNotices(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	last := state(t, s, testHook).Last
	if err := s.Done(ctx, testHook, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Discard(ctx, testHook, []uint64{last + 1}); err != nil {
		t.Fatal(err)
	}
	another := diaphone.WebhookID{App: testApp, Name: "another"}
	mustAppend(t, s, testAppend([]string{"d001-1", "d001-2"}, another))
	if err := s.Bury(ctx, another, 1<<50, "410", time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, more, err := s.Revive(ctx, another, nil, time.Now()); n != 2 || more || err != nil {
		t.Fatalf("revived %d, %v, %v", n, more, err)
	}
	if err := s.Done(ctx, another, 1<<50); err != nil {
		t.Fatal(err)
	}
	if q := state(t, s, another); q.Pending != 0 || q.Dead != 0 {
		t.Fatalf("left: %+v", q)
	}
}

// breakRecord flips a bit in the value of a record.
func breakRecord(t *testing.T, path string, b bucket, k key) {
	t.Helper()
	raw(t, path, func(tx *bbolt.Tx) error {
		in := tx.Bucket([]byte(b.String()))
		v := append([]byte(nil), in.Get(k)...)
		v[len(v)/2] ^= 4
		return in.Put(k, v)
	})
}

// A queue is not held up by damage, at its front or everywhere.
func TestDamagedFront(t *testing.T) {
	for broken := 1; broken <= 5; broken++ {
		path := filepath.Join(t.TempDir(), "diaphone.db")
		s := openStore(t, path, Options{})
		mustAppend(t, s, testAppend([]string{"1", "2", "3", "4", "5"}, testHook))
		closeStore(t, s)
		for seq := range broken {
			breakRecord(t, path, inNotices, placeKey(queueKey(testHook), uint64(seq+1)))
		}
		s = openStore(t, path, Options{})
		if err := s.Bury(t.Context(), testHook, 2, "410", time.Now()); err != nil {
			t.Fatal(err)
		}
		front, err := s.Front(t.Context(), testHook, 2)
		if err != nil || len(front) != min(2, 5-max(broken, 2)) || len(front) > 0 && front[0].Seq != uint64(max(broken, 2)+1) {
			t.Fatalf("%d damaged: %v, %v", broken, front, err)
		}
		mustAppend(t, s, testAppend([]string{"6"}, testHook))
		q := state(t, s, testHook)
		if q.Pending != int64(6-max(broken, 2)) || q.Dead != int64(2-min(broken, 2)) || q.Last != 6 {
			t.Errorf("%d damaged: %+v", broken, q)
		}
		if err := s.Done(t.Context(), testHook, 6); err != nil {
			t.Fatal(err)
		}
		if q := state(t, s, testHook); q.Pending != 0 || s.Stats().Quarantined != int64(broken) {
			t.Errorf("%d damaged: %+v, %d in quarantine", broken, q, s.Stats().Quarantined)
		}
		closeStore(t, s)
	}
}

// When the tally of a queue is lost, no number is given twice: a backend would
// take the notice for one that it has had.
func TestLostTally(t *testing.T) {
	for _, left := range []int{3, 0} { // notices in the queue
		for _, gone := range []bool{false, true} { // or damaged
			path := filepath.Join(t.TempDir(), "diaphone.db")
			s := openStore(t, path, Options{})
			mustAppend(t, s, testAppend([]string{"1", "2", "3"}, testHook))
			if err := s.Done(t.Context(), testHook, uint64(3-left)); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			if gone && left == 0 {
				continue // then nothing tells that there was a queue
			}
			breakRecord(t, path, inTallies, queueKey(testHook))
			if gone {
				raw(t, path, func(tx *bbolt.Tx) error {
					return tx.Bucket([]byte(inTallies.String())).Delete(queueKey(testHook))
				})
			}
			s = openStore(t, path, Options{})
			mustAppend(t, s, testAppend([]string{"4"}, testHook))
			q := state(t, s, testHook)
			if q.Pending != int64(left+1) || q.Last < 1_700_000_000_000 || q.Last > 1<<53 {
				t.Errorf("%d left, gone %v: %+v", left, gone, q)
			}
			front, err := s.Front(t.Context(), testHook, 10)
			if err != nil || len(front) != left+1 || front[left].Seq != q.Last {
				t.Errorf("%d left, gone %v: %+v, %v", left, gone, front, err)
			}
			closeStore(t, s)
		}
	}
}

// A file of the time before webhooks is taken over, and is no longer for those who
// know nothing of them.
func TestFileFromBeforeNotices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	s := openStore(t, path, Options{})
	mustPut(t, s, testDevice("d"))
	closeStore(t, s)
	raw(t, path, func(tx *bbolt.Tx) error {
		for b := inTallies; b < bucketEnd; b++ {
			if err := tx.DeleteBucket([]byte(b.String())); err != nil {
				return err
			}
		}
		return nil
	})
	setSchema(t, path, 1)
	s = openStore(t, path, Options{})
	mustAppend(t, s, testAppend([]string{"1"}, testHook))
	if _, err := s.Device(t.Context(), testApp, "d"); err != nil {
		t.Error(err)
	}
	closeStore(t, s)
	refused(t, path, Options{hooks: hooks{migrations: []migration{}}}, "this one knows 1")
}

// What has no room is refused; what makes room goes on.
func TestNoticesWhenFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	s := openStore(t, path, Options{})
	mustAppend(t, s, testAppend([]string{"1", "2", "3", "4"}, testHook))
	closeStore(t, s)
	s = openStore(t, path, Options{Reserve: 1 << 62}) // more than any disk has
	defer closeStore(t, s)
	wantFull(t, s.Append(t.Context(), testAppend([]string{"5"}, testHook)))
	wantFull(t, s.Append(t.Context(), storage.Append{Begun: []storage.Stand{{App: testApp, Channel: "x"}}}))
	_, _, revive := s.Revive(t.Context(), testHook, []uint64{2}, time.Now())
	for what, err := range map[string]error{
		"done":   s.Done(t.Context(), testHook, 1),
		"bury":   s.Bury(t.Context(), testHook, 3, "410", time.Now()),
		"end":    s.Append(t.Context(), storage.Append{Ended: []storage.Stand{{App: testApp, Channel: "presence-chat", User: "1"}}}),
		"revive": revive,
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n, _, err := s.Discard(t.Context(), testHook, nil); n != 2 || err != nil {
		t.Errorf("discarded %d, %v", n, err)
	}
	if q := state(t, s, testHook); q.Pending != 1 || q.Dead != 0 || q.Last != 4 {
		t.Errorf("%+v", q)
	}
}

// Callers at the same time share a transaction.
func TestAppendsShareCommits(t *testing.T) {
	s := newStore(t, Options{})
	release := stall(t, s)
	before := s.Stats().Commits
	const callers = 50
	failed := make(chan error, callers)
	for i := range callers {
		go func() { failed <- s.Append(context.Background(), testAppend([]string{fmt.Sprint(i)}, testHook)) }()
	}
	for s.Stats().WritesWaiting < callers { // bounded by the test's own time-out
		runtime.Gosched()
	}
	release()
	for range callers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if n := s.Stats().Commits - before; n > 3 {
		t.Errorf("%d commits for %d appends", n, callers)
	}
	if q := state(t, s, testHook); q.Pending != callers || q.Last != callers {
		t.Errorf("%+v", q)
	}
}

// appendForEver owes notices to a webhook from several goroutines and prints each
// id that the store has acknowledged.
func appendForEver(s *Store) error {
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				id := string(diaphone.NewMessageID(time.Now()))
				if err := s.Append(context.Background(), testAppend([]string{id}, testHook)); err != nil {
					failed <- err
					return
				}
				if _, err := fmt.Println(id); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// unheard tells how many acknowledged notices a reopened store does not have.
func unheard(t *testing.T, path string, acked []string) (n int) {
	t.Helper()
	s := openStore(t, path, Options{})
	defer closeStore(t, s)
	there := map[string]bool{}
	front, err := s.Front(t.Context(), testHook, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range front {
		if q.Seq != uint64(i+1) {
			t.Fatalf("place %d has number %d", i+1, q.Seq)
		}
		there[q.Notice.ID] = true
	}
	standing := 0
	for cursor, more := "", true; more; more = cursor != "" {
		page, next, err := s.Standing(t.Context(), testApp, storage.Page{Cursor: cursor, Limit: storage.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		for _, stands := range page {
			if !there[string(stands.User)] {
				t.Fatalf("%s stands without its notice", stands.User)
			}
		}
		standing, cursor = standing+len(page), next
	}
	q := state(t, s, testHook)
	if q.Pending != int64(len(front)) || q.Last != uint64(len(front)) || standing != len(front) {
		t.Fatalf("%d notices and %d stand, the state says %+v", len(front), standing, q)
	}
	for _, id := range acked {
		if !there[id] {
			n++
		}
	}
	return n
}

func TestKilledProcessLosesNoNotice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "diaphone.db")
	var acked []string
	for i := range 5 {
		acked = append(acked, killed[string](t, "append", path, 37*(i+1))...)
		if n := unheard(t, path, acked); n > 0 {
			t.Fatalf("kill %d: %d of %d acknowledged notices are lost", i, n, len(acked))
		}
	}
	t.Logf("%d acknowledged notices survived 5 kills", len(acked))
	checkFile(t, path)
}
