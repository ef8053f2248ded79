package leak

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// values are such as are planted: hex, base64, a URL, one with all that is escaped.
var values = []string{
	"3f786850e387550fdab836ed7e6dc881de23001b5a1c6f2d9e8b7a6c5d4e3f20",
	"fGHx:APA91bEkd83_-Wq0",
	"http://hooks.example.com/in?key=plum&x=1",
	"Bearer \"q\\uoted\" +/ ü<&>\tsecret",
}

// Whatever a program does to a text on its way out, the search finds it.
func TestEveryFormIsFound(t *testing.T) {
	wrappings := map[string]func(string) string{
		"plain":        func(s string) string { return s },
		"upper case":   strings.ToUpper,
		"quoted":       func(s string) string { return fmt.Sprintf("%q", s) },
		"JSON":         marshal,
		"JSON in JSON": func(s string) string { return marshal(marshal(s)) },
		"struct":       func(s string) string { return fmt.Sprintf("%+v", struct{ A, B string }{"x", s}) },
		"query":        func(s string) string { return url.Values{"a": {s}}.Encode() },
		"path":         func(s string) string { return "/v1/" + url.PathEscape(s) + "/x" },
		"hex":          func(s string) string { return hex.EncodeToString([]byte("abc" + s + "d")) },
	}
	for before := range 3 {
		for name, e := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.RawURLEncoding} {
			wrappings[fmt.Sprint("base64 ", name, before)] = func(s string) string {
				return e.EncodeToString([]byte("user:"[:before] + s + " and more"))
			}
		}
	}
	for name, wrap := range wrappings {
		for _, v := range values {
			var h Hunt
			h.Plant(DeviceToken, v)
			text := "time=12:00 level=INFO msg=x\n" + "at=" + wrap(v) + " level=DEBUG \nlast"
			found := h.In(Log, text)
			if len(found) == 0 || found[0].Line != 2 || found[0].Kind != DeviceToken {
				t.Errorf("%s of %q: %v", name, v, found)
			}
			for _, f := range found {
				if strings.Contains(f.String(), v) {
					t.Errorf("the finding says it again: %s", f)
				}
			}
			if found := h.In(Backup, text); len(found) > 0 {
				t.Errorf("a backup may have it: %v", found)
			}
		}
	}
}

func marshal(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// A part is found, wherever it was cut; what is like it is not.
func TestParts(t *testing.T) {
	var h Hunt
	h.Plant(DeviceToken, values[0])
	for from := range len(values[0]) - 31 {
		if found := h.In(Answer, "the token "+values[0][from:from+31]+" is bad"); len(found) == 0 {
			t.Errorf("31 letters from %d are not found", from)
		}
	}
	for _, other := range []string{values[0][:15], strings.Repeat("0123456789abcdef", 4), ""} {
		if found := h.In(Answer, "the token "+other); len(found) > 0 {
			t.Errorf("%q: %v", other, found)
		}
	}
}

// What is where: the rules of the places.
func TestPlaces(t *testing.T) {
	var h Hunt
	const body, user, short = "meet me at the harbour", "user-7f3a9c", "dp_dev"
	h.Plant(Body, body)
	h.Plant(User, user)
	h.Plant(BearerToken, short)
	h.Plant(BearerToken, short)
	if h.Planted() != 3 {
		t.Errorf("%d planted", h.Planted())
	}
	for _, c := range []struct {
		place Place
		text  string
		want  int
	}{
		{Log, "time=1 level=DEBUG msg=x " + body, 0},
		{Log, `{"time":"1","level":"DEBUG","msg":"` + body + `"}`, 0},
		{Log, "time=1 level=INFO msg=x " + body, 1},
		{Log, "panic: " + body, 1},
		{Log, "level=INFO " + user, 0},
		{Metrics, `x{user="` + user + `"} 1`, 1},
		{Metrics, `x{body="` + body + `"} 1`, 1},
		{Print, body + user, 0},
		{Answer, body + user, 0},
		{Log, "time=1 level=DEBUG token=" + short, 1},
		{Backup, short, 1},
	} {
		if found := h.In(c.place, c.text); len(found) != c.want {
			t.Errorf("place %d, %q: %v, want %d", c.place, c.text, found, c.want)
		}
	}
}
