package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/apitest"
	"github.com/diaphone-dev/diaphone/api/channels"
	"github.com/diaphone-dev/diaphone/api/device"
	"github.com/diaphone-dev/diaphone/api/rest"
	"github.com/diaphone-dev/diaphone/gateway"
)

func TestContractIsValid(t *testing.T) { apitest.NewJudge(t).CheckDocument(t) }

// openapi.yaml and the routes of all doors are the same list.
func TestRoutesAreOperations(t *testing.T) {
	apitest.NewJudge(t).CheckRoutes(t, everyDoor(t))
}

func everyDoor(t *testing.T) *echo.Echo {
	t.Helper()
	apps, err := gateway.NewApps(nil)
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(gateway.Config{Apps: apps})
	e, err := api.New(api.Config{
		Logger:   slog.New(slog.DiscardHandler),
		Registry: prometheus.NewRegistry(),
		Ready:    func(context.Context) []api.Reason { return nil },
		Doors:    []api.Door{rest.New(rest.Config{Gateway: g}), device.New(device.Config{Gateway: g}), channels.New(channels.Config{Gateway: g})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Every operation of the native API says what it answers when it refuses, and
// shows an example of everything it answers.
func TestOperationsAreComplete(t *testing.T) {
	j := apitest.NewJudge(t)
	for path, item := range j.Doc.Paths.Map() {
		for method, o := range item.Operations() {
			name := method + " " + path
			if o.OperationID == "" || o.Summary == "" || len(o.Tags) != 1 {
				t.Errorf("%s has no id, summary or tag", name)
			}
			if !slices.Contains([]string{"Messages", "Devices", "Installations", "Channels", "Users"}, o.Tags[0]) {
				continue
			}
			if method == http.MethodOptions {
				continue // a preflight can only be answered
			}
			statuses := []string{"400", "422", "429", "500", "503"}
			if o.Security == nil || len(*o.Security) > 0 {
				statuses = append(statuses, "401")
			}
			if o.RequestBody != nil {
				statuses = append(statuses, "413", "415", "507")
			}
			for _, s := range statuses {
				if o.Responses.Value(s) == nil {
					t.Errorf("%s does not say what it answers with %s", name, s)
				}
			}
			for status, r := range o.Responses.Map() {
				if r.Value.Headers["X-Request-Id"] == nil {
					t.Errorf("%s: %s does not promise X-Request-Id", name, status)
				}
				for kind, m := range r.Value.Content {
					if m.Example == nil && len(m.Examples) == 0 {
						t.Errorf("%s: %s %s has no example", name, status, kind)
					}
				}
			}
		}
	}
}
