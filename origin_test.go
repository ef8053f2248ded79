package diaphone

import "testing"

func TestOrigins(t *testing.T) {
	s := ChannelSettings{Origins: []Origin{"https://example.com", "https://*.example.org", "http://localhost:3000"}}
	for origin, want := range map[string]bool{
		"":                              true, // no browser
		"https://example.com":           true,
		"https://EXAMPLE.com":           true,
		"http://example.com":            false,
		"https://example.com:444":       false,
		"https://www.example.com":       false,
		"https://example.com.evil.test": false,
		"https://www.example.org":       true,
		"https://a.b.example.org":       true,
		"https://example.org":           false,
		"https://.example.org":          false,
		"https://evilexample.org":       false,
		"http://www.example.org":        false,
		"http://localhost:3000":         true,
		"http://localhost":              false,
		"null":                          false, // sandboxed frames and files
	} {
		if s.Admits(origin) != want {
			t.Errorf("%q: admitted is %v", origin, !want)
		}
	}
	if !(&ChannelSettings{}).Admits("null") {
		t.Error("without a list, everybody may connect")
	}
}

func TestOriginsThatAreNone(t *testing.T) {
	for o, ok := range map[Origin]bool{
		"https://example.com": true, "http://[::1]:8080": true, "https://*.example.com": true, "capacitor://localhost": true,
		"": false, "*": false, "example.com": false, "https://": false, "https://example.com/": false, "https://a*.example.com": false,
		"https://*.*.example.com": false, "https://user@example.com": false, "https://example.com?x": false,
	} {
		if err := o.Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", o, err)
		}
	}
}
