package hooks

import "github.com/diaphone-dev/diaphone"

// Sign is sign.
func Sign(secret diaphone.Secret, body string) string { return sign(secret, []byte(body)) }

// Remembered is how much the ledgers keep in memory, in things.
func (e *Engine) Remembered() (n int) {
	for _, l := range e.ledgers {
		l.mu.Lock()
		n += len(l.channels) + len(l.waiting) + l.leaving.Len()
		l.mu.Unlock()
	}
	return n
}
