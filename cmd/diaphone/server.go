package main

import (
	"github.com/diaphone-dev/diaphone/client"
)

// server says which gateway a client command talks to. Its defaults are those
// of `diaphone dev`.
type server struct {
	Server string `help:"URL of the gateway." default:"http://127.0.0.1:6001" placeholder:"URL"`
	Token  string `help:"Bearer token of the app; better given as DIAPHONE_TOKEN, where other users cannot see it." default:"dp_dev" placeholder:"TOKEN"`
}

func (s *server) client() (*client.Client, error) {
	c, err := client.New(s.Server, s.Token)
	if err != nil {
		return nil, usagef("--server: %w", err)
	}
	return c, nil
}
