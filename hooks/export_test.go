package hooks

import "github.com/diaphone-dev/diaphone"

// Sign is sign.
func Sign(secret diaphone.Secret, body string) string { return sign(secret, []byte(body)) }
