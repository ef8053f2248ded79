package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/client"
)

// preview prints what would be sent, and sends nothing.
func (s *sendCmd) preview(c *console, api *client.Client, m wire.NewMessage) error {
	p, err := api.Preview(c.ctx, m)
	if err != nil {
		return err
	}
	if s.JSON {
		return c.json(p)
	}
	for i, n := range p.Notifications {
		if i > 0 {
			fmt.Fprintln(c.out)
		}
		if err := printPreview(c, n); err != nil {
			return err
		}
	}
	return nil
}

func printPreview(c *console, n wire.NotificationPreview) error {
	fmt.Fprintf(c.out, "%s (%s): %d of %d bytes\n", printable(n.Credential), n.Provider, n.Size, n.Limit)
	for _, name := range slices.Sorted(maps.Keys(n.Headers)) {
		fmt.Fprintf(c.out, "%s: %s\n", name, printable(n.Headers[name]))
	}
	if _, err := fmt.Fprintln(c.out, printable(n.Payload)); err != nil {
		return err
	}
	for _, w := range n.Warnings {
		c.note("%s: warning: %s", printable(n.Credential), printable(w.Detail))
	}
	return nil
}
