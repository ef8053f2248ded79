package hooks

import (
	"strconv"
	"testing"

	"github.com/diaphone-dev/diaphone"
)

// SignStandard is signStandard.
func SignStandard(t *testing.T, id, stamp, body string, s diaphone.Secret) string {
	t.Helper()
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signStandard([]diaphone.Secret{s}, id, unix, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

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
