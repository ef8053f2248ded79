package fallback

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// FuzzSend says anything to a session: it is refused, or its messages come to the
// engine one by one, each a frame that the engine's rules allow.
func FuzzSend(f *testing.F) {
	for _, seed := range []string{
		`[]`, `["a"]`, `["{\"event\":\"pusher:pong\"}","x"]`, `[null]`, `{}`, `"a"`, `[1]`, `["\ud800"]`, "[\"\xff\"]", `["a"`, ` [ "ü" , "" ] `, `["\u0000"]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, ok := parse(body)
		var all []any
		if isList := json.Unmarshal(body, &all) == nil && all != nil; ok && !isList {
			t.Fatalf("%q is taken for a list", body)
		}
		if !ok {
			return
		}
		s := newSession(ID{})
		s.owed = [][]byte{[]byte("12345678")}
		if !s.say(t.Context(), 0, messages) {
			t.Fatal("an open session does not listen")
		}
		var heard []string
		for rest := s.said; len(rest) > 0; {
			fr, after, whole := cut(rest)
			if !whole {
				t.Fatalf("half a frame: %q", rest)
			}
			if rest = after; fr.op == ws.OpText {
				heard = append(heard, string(fr.payload))
			}
		}
		if owes := len(s.owed) == 1; !owes {
			i := slices.IndexFunc(messages, isPong)
			messages = slices.Delete(messages, i, i+1)
		}
		if !slices.Equal(heard, messages) {
			t.Fatalf("said %q, heard %q", messages, heard)
		}
		if slices.ContainsFunc(heard, func(m string) bool { return !utf8.ValidString(m) }) {
			t.Fatalf("not UTF-8: %q", heard)
		}
	})
}

// FuzzLines writes any messages as a line: JavaScript reads the same out of it.
func FuzzLines(f *testing.F) {
	f.Add("", "{}", true)
	f.Add("\n\r\u2028\x00\"\\", "😀", false)
	f.Fuzz(func(t *testing.T, first, second string, ping bool) {
		if !utf8.ValidString(first) || !utf8.ValidString(second) {
			return // the engine's callers promise
		}
		s := newSession(ID{})
		want := []string{first, second}
		// As the engine writes: unmasked, and torn anywhere.
		wire := slices.Concat(ws.MustCompileFrame(ws.NewTextFrame([]byte(first))))
		if ping {
			wire = append(wire, ws.MustCompileFrame(ws.NewPingFrame([]byte("12345678")))...)
			want = slices.Insert(want, 1, pingEvent)
		}
		wire = append(wire, ws.MustCompileFrame(ws.NewTextFrame([]byte(second)))...)
		for len(wire) > 0 {
			n := min(7, len(wire))
			if m, err := s.Write(wire[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			wire = wire[n:]
			if s.waiting >= mostTold {
				return // it would wait for a client
			}
		}
		lines, last := s.take(t.Context())
		if last || string(lines[:3]) != "o\na" || slices.Index(lines[3:], '\n') != len(lines)-4 {
			t.Fatalf("lines %q", lines)
		}
		var got []string
		if err := json.Unmarshal(lines[3:], &got); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q says %q, want %q", lines, got, want)
		}
	})
}
