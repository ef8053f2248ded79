package gateway

import (
	"errors"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

func TestCursors(t *testing.T) {
	for _, name := range []string{"a", "presence-chat-7", "Ana / ñ \x01", "\x00\x00\x00\x00\x00"} {
		text := cursor("one").text(name)
		if got, err := cursor("one").parse(text); err != nil || got != name {
			t.Errorf("%q came back as %q, %v", name, got, err)
		}
		if got, err := cursor("another").parse(text); err == nil {
			t.Errorf("another list takes %q for %q", text, got)
		}
	}
	if text := cursor("one").text(""); text != "" {
		t.Errorf("behind the end there is %q", text)
	}
	if name, err := cursor("one").parse(""); name != "" || err != nil {
		t.Errorf("the beginning is %q, %v", name, err)
	}
}

// FuzzCursor reads anything: a refusal points at the cursor, and what is taken is
// exactly what the list gave.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "AAAA", "AAAAAA", "!!", cursor("channels").text("news"), cursor("other").text("news"), cursor("channels").text("news") + "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := cursor("channels").parse(text)
		if err == nil {
			if back := cursor("channels").text(name); back != text {
				t.Errorf("%q is taken as %q, whose cursor is %q", text, name, back)
			}
			return
		}
		var e *diaphone.Error
		if !errors.As(err, &e) || e.Code != diaphone.Invalid || e.Fields[0].Pointer != "/cursor" || name != "" {
			t.Errorf("%q: %q %v", text, name, err)
		}
	})
}
