package channels_test

import (
	"strings"
	"testing"

	"github.com/diaphone-dev/diaphone/api/apitest"
)

// Behind the server's usual front every exchange is as openapi.yaml has it, and no
// log has a session's id, which is a secret.
func TestTheContractOverHTTP(t *testing.T) {
	s := apitest.Start(t, apitest.Options{})
	const secret = "s3cr3t00"
	exchanges := []struct {
		method, path, body string
		status             int
	}{
		{"OPTIONS", apitest.Key1 + "/418/" + secret + "/xhr_streaming", "", 204},
		{"OPTIONS", apitest.Key1 + "/418/" + secret + "/xhr", "", 204},
		{"OPTIONS", apitest.Key1 + "/418/" + secret + "/xhr_send", "", 204},
		{"POST", "nobody/418/" + secret + "/xhr_streaming?protocol=7&client=js&version=8.6.0&t=1&n=1", "", 200},
		{"POST", apitest.Key1 + "/418/" + secret + "/xhr_send?t=1&n=2", "[]", 404},
		{"POST", apitest.Key1 + "/418/" + secret + "/xhr?protocol=7&client=js&version=8.6.0&t=1&n=3", "", 200},
		{"POST", apitest.Key1 + "/418/" + secret + "/xhr_send?t=1&n=4", `["{}"]`, 204},
		{"POST", apitest.Key1 + "/418/" + secret + "/xhr_send?t=1&n=5", `{}`, 400},
		{"POST", apitest.Key1 + "/418/" + secret + "/xhr_send?t=1&n=6", `["` + strings.Repeat("x", 1<<20) + `"]`, 413},
		{"POST", apitest.Key1 + "/418/" + secret + "/xhr?t=1&n=7", `"` + strings.Repeat("x", 5<<10) + `"`, 413},
		{"POST", apitest.Key1 + "/1000/" + secret + "/xhr", "", 404},
		{"GET", apitest.Key1 + "/418/" + secret + "/xhr", "", 405},
	}
	for _, x := range exchanges {
		if got := s.Do("", x.method, "/pusher/app/"+x.path, x.body); got.Status != x.status {
			t.Errorf("%s %s: %d %.200s, want %d", x.method, x.path, got.Status, got.Body, x.status)
		}
	}
	log := s.Log()
	if n := strings.Count(log, `"msg":"request"`); n != len(exchanges) {
		t.Errorf("%d requests are logged", n)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, secret) && !strings.Contains(line, `"method":"GET"`) { // nobody comes with a secret that way
			t.Errorf("logged: %s", line)
		}
	}
}
