package app

import (
	"cmp"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/providers/webpush"
)

type webPushEntry struct {
	Lane     laneEntry `yaml:",inline"`
	KeyFile  string    `yaml:"key_file"`
	Subject  string    `yaml:"subject"`
	Navigate string    `yaml:"navigate"`
}

func (r *appsReader) webPush(at string, a *diaphone.App, e *webPushEntry) {
	e.Lane.Name = cmp.Or(e.Lane.Name, "webpush")
	lane := r.lane(at, a, e.Lane, diaphone.Credential{Provider: diaphone.WebPush})
	key, ok := r.secret(at+".key_file", e.KeyFile)
	if !ok {
		return
	}
	p, err := webpush.New(webpush.Config{Key: diaphone.Secret(key), Subject: e.Subject, Navigate: e.Navigate, Guard: r.browsers})
	if err != nil {
		r.faultf(at, "%v", err)
		return
	}
	r.tenants.Providers[lane] = p
}
