package exchange

import (
	"regexp"
	"strings"
)

const (
	redacted    = "[redacted]"
	maxQuote    = 256 // bytes of a vendor's text that an error repeats
	minSecret   = 8   // shorter secrets do not exist, and replacing them would shred the text
	maxWordSize = 64
)

// opaque matches what no prose has: long runs of the characters that tokens,
// keys and signatures are written in. It catches what a vendor may echo of a
// secret in a form that we do not know, for example half of it. Paths of fields
// look so too, but have lower-case letters, dots and underscores only.
var opaque = regexp.MustCompile(`[A-Za-z0-9_\-.:+/=%~]{32,}`)

// Quote makes foreign text fit to appear in an error: known secrets and long
// opaque runs are replaced, the rest is cut to a sentence.
func Quote(text string, secrets ...string) string {
	for _, s := range secrets {
		text = replaceFold(text, s)
	}
	text = opaque.ReplaceAllStringFunc(text, func(run string) string {
		if strings.Contains(run, ".") && strings.Trim(run, "abcdefghijklmnopqrstuvwxyz_.:") == "" {
			return run
		}
		return redacted
	})
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "") + "…"
	}
	return text
}

// Word gives a vendor's one-word reason, or "" when it is anything else. Names
// of reasons have letters and underscores only, so a token never passes for one.
func Word(s string, secrets ...string) string {
	if s == "" || len(s) > maxWordSize {
		return ""
	}
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && s[i] != '_' {
			return ""
		}
	}
	if Leaks(s, secrets...) {
		return ""
	}
	return s
}

// Leaks tells whether the text holds one of the secrets.
func Leaks(text string, secrets ...string) bool {
	lower := strings.ToLower(text)
	for _, s := range secrets {
		if len(s) >= minSecret && strings.Contains(lower, strings.ToLower(s)) {
			return true
		}
	}
	return false
}

// replaceFold replaces a secret in any case: hex tokens come back in both.
func replaceFold(text, secret string) string {
	if len(secret) < minSecret {
		return text
	}
	return regexp.MustCompile("(?i)"+regexp.QuoteMeta(secret)).ReplaceAllLiteralString(text, redacted)
}
