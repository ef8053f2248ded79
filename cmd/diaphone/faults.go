package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/diaphone-dev/diaphone/client"
)

// inWords gives the text of an error, and the lines below it which say where the
// fault is and what helps.
func inWords(err error) (text string, more []string) {
	text = err.Error()
	var own *coded
	if errors.Is(err, syscall.ECONNREFUSED) && !errors.As(err, &own) {
		more = append(more, "is the gateway running there? --server says where to look")
	}
	var p *client.Problem
	if !errors.As(err, &p) {
		return text, more
	}
	head := *p // each field has a line of its own
	head.Errors = nil
	text = strings.Replace(text, p.Error(), head.Error(), 1)
	for _, f := range p.Errors {
		line := f.Pointer
		if flag := flagOf(f.Pointer); flag != "" {
			line = fmt.Sprintf("%s (%s)", flag, f.Pointer)
		}
		if f.Detail != p.Detail {
			line += ": " + f.Detail
		}
		if line != "" {
			more = append(more, line)
		}
	}
	if p.Hint != "" {
		more = append(more, p.Hint)
	}
	return text, more
}

// flagOf gives the flag or argument that fills the field, or the parameter, of a
// request; empty where none does.
func flagOf(pointer string) string {
	for _, f := range []struct{ field, flag string }{
		{"/to", "the audience"},
		{"/notification/title", "--title"},
		{"/notification/body", "the text"},
		{"/notification/data", "--data"},
		{"/notification/image", "--image"},
		{"/notification/badge", "--badge"},
		{"/notification/sound", "--sound"},
		{"/notification/collapse_id", "--collapse"},
		{"/notification/priority", "--priority"},
		{"/notification/ttl", "--ttl"},
		{"/when", "--when"},
		{"/Idempotency-Key", "--idempotency-key"},
		{"/event/name", "the event"},
		{"/event/data", "the data"},
		{"/event/except_socket", "--except-socket"},
		{"/tokens", "--apns, --fcm or --subscription"},
		{"/user_id", "--user"},
		{"/channels", "--channel"},
		{"/tags", "--tag"},
		{"/locale", "--locale"},
		{"/time_zone", "--time-zone"},
	} {
		if rest, ok := strings.CutPrefix(pointer, f.field); ok && (rest == "" || rest[0] == '/') {
			return f.flag
		}
	}
	return ""
}

// negative is what kong says of a flag with a number below 0: to write it in another
// way, which would not help, for no flag takes one.
var negative = regexp.MustCompile(`\A(--[a-z-]+): expected \w+ value but got "(-[0-9][^"]*)"`)

// explainUse makes what kong says of wrong use more helpful.
func explainUse(err error) error {
	if m := negative.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s %s: 0 or more", m[1], m[2])
	}
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) || wrong.Context.Selected() == nil {
		return err
	}
	for _, argument := range wrong.Context.Selected().Positional {
		if hint := argument.Tag.Get("hint"); hint != "" && !argument.Set {
			return fmt.Errorf("%w; see `%s`", err, hint)
		}
	}
	return err
}
