package main

import (
	"context"
	"fmt"

	"github.com/diaphone-dev/diaphone/api/wire"
)

type webhooksCmd struct {
	Ls      webhooksLsCmd      `cmd:"" aliases:"list" help:"Show how the webhooks fare."`
	Dead    webhooksDeadCmd    `cmd:"" help:"List what a webhook could not be told: its dead letters."`
	Resend  webhooksResendCmd  `cmd:"" help:"Send dead letters again, all of them unless some are named."`
	Discard webhooksDiscardCmd `cmd:"" help:"Forget dead letters."`
}

type webhooksLsCmd struct {
	server
	jsonFlag
}

// Run shows the webhooks.
func (w *webhooksLsCmd) Run(c *console) error {
	api, err := w.client()
	if err != nil {
		return err
	}
	hooks, err := api.Webhooks(c.ctx)
	if err != nil {
		return err
	}
	if w.JSON {
		return c.json(hooks)
	}
	if len(hooks) == 0 {
		c.note("no webhooks are declared; see webhooks: in the apps file")
		return nil
	}
	rows := make([][]string, len(hooks))
	for i, h := range hooks {
		host := h.Host
		if !h.Declared {
			host = "(not declared)"
		}
		state := h.LastError
		if !h.FailingSince.IsZero() {
			state = "failing since " + moment(h.FailingSince) + ": " + h.LastError
		}
		rows[i] = []string{h.Name, host, fmt.Sprint(h.Pending), moment(h.OldestPendingAt), fmt.Sprint(h.DeadLetters), fmt.Sprint(h.LastSequence), moment(h.NextAttemptAt), state}
	}
	return c.table("WEBHOOK HOST PENDING OLDEST DEAD LAST NEXT STATE", rows)
}

// moment is a clock for what may be days ago.
func moment(t wire.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

type webhooksDeadCmd struct {
	server
	jsonFlag
	Webhook string `arg:"" help:"Name of the webhook." hint:"diaphone webhooks ls"`
	Limit   int    `help:"List at most so many." default:"1000" env:"-"`
}

// Run lists dead letters, page by page.
func (w *webhooksDeadCmd) Run(c *console) error {
	if w.Limit < 1 {
		return usagef("--limit %d: at least 1", w.Limit)
	}
	api, err := w.client()
	if err != nil {
		return err
	}
	all := []wire.DeadLetter{}
	for letter, err := range api.AllDeadLetters(c.ctx, w.Webhook) {
		if err != nil {
			return err
		}
		if len(all) == w.Limit {
			c.note("there are more; ask for them with --limit")
			break
		}
		all = append(all, letter)
	}
	if w.JSON {
		return c.json(all)
	}
	rows := make([][]string, len(all))
	for i, l := range all {
		rows[i] = []string{fmt.Sprint(l.Sequence), string(l.Name), string(l.Channel), string(l.UserID), moment(l.HappenedAt), moment(l.BuriedAt), l.Reason}
	}
	return c.table("SEQUENCE EVENT CHANNEL USER HAPPENED GIVEN-UP REASON", rows)
}

// chosen names dead letters.
type chosen struct {
	server
	jsonFlag
	Webhook   string   `arg:"" help:"Name of the webhook." hint:"diaphone webhooks ls"`
	Sequences []uint64 `arg:"" optional:"" name:"sequence" help:"Sequence numbers of dead letters."`
}

type webhooksResendCmd struct {
	chosen
}

// Run resends dead letters.
func (w *webhooksResendCmd) Run(c *console) error {
	api, err := w.client()
	if err != nil {
		return err
	}
	if len(w.Sequences) == 0 {
		return w.handle(c, "resent", api.ResendAllDeadLetters)
	}
	return w.handle(c, "resent", func(ctx context.Context, webhook string) (wire.Handled, error) {
		return api.ResendDeadLetters(ctx, webhook, w.Sequences...)
	})
}

type webhooksDiscardCmd struct {
	chosen
	All bool `help:"Forget all of them." env:"-"`
}

// Run discards dead letters; all of them only when that is said.
func (w *webhooksDiscardCmd) Run(c *console) error {
	if w.All == (len(w.Sequences) > 0) {
		return usagef("name the sequence numbers of dead letters, or give --all")
	}
	api, err := w.client()
	if err != nil {
		return err
	}
	if w.All {
		return w.handle(c, "discarded", api.DiscardAllDeadLetters)
	}
	return w.handle(c, "discarded", func(ctx context.Context, webhook string) (wire.Handled, error) {
		return api.DiscardDeadLetters(ctx, webhook, w.Sequences...)
	})
}

// handle calls again while there is more. When a call fails, what was done before
// it is told. Letters that are named and not there are not found.
func (w *chosen) handle(c *console, done string, call func(ctx context.Context, webhook string) (wire.Handled, error)) error {
	count := 0
	for more := true; more; {
		h, err := call(c.ctx, w.Webhook)
		if err != nil {
			if count > 0 {
				c.note("%d dead letters of %s were %s", count, w.Webhook, done)
			}
			return err
		}
		count, more = count+h.Count, h.More
	}
	var err error
	if w.JSON {
		err = c.json(map[string]int{done: count})
	} else {
		_, err = fmt.Fprintf(c.out, "%d %s\n", count, done)
	}
	if err == nil && count == 0 && len(w.Sequences) > 0 {
		return failf(exitNotFound, "%s has none of these dead letters; `diaphone webhooks dead %[1]s` lists them", w.Webhook)
	}
	return err
}
