// Package control is the HTTP API by which people and tests steer the
// simulators: phones, their inbox, faults and statistics.
package control

import (
	"net/http"

	"github.com/diaphone-dev/diaphone/sim/fault"
	"github.com/diaphone-dev/diaphone/sim/phone"
	"github.com/diaphone-dev/diaphone/sim/stats"
)

// CheckFault is how a vendor checks and completes a fault. The error begins with
// the field that is wrong.
type CheckFault func(fault.Fault) (fault.Fault, error)

// Options are what the API steers. Topics and Projects are the apps that a phone
// can have, the first being the default. Meters and Check are by vendor.
type Options struct {
	Fleet    *phone.Fleet
	Faults   *fault.Plan
	Topics   []string
	Projects []string
	VAPIDKey string                    // that a browser subscribes with unless it is given another
	Endpoint func(token string) string // of a browser
	Meters   map[string]*stats.Meter
	Check    map[string]CheckFault
}

type api struct{ Options }

// New returns the handler of everything under /sim/.
func New(o Options) http.Handler {
	a := &api{o}
	mux := http.NewServeMux()
	route := func(pattern string, h func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { serve(w, r, h) })
	}
	mux.HandleFunc("GET /sim/inbox", a.getInbox)
	route("DELETE /sim/inbox", a.deleteInbox)
	route("GET /sim/devices", a.getDevices)
	route("POST /sim/devices", a.postDevices)
	route("GET /sim/devices/{name}", a.getDevice)
	route("PATCH /sim/devices/{name}", a.patchDevice)
	route("DELETE /sim/devices/{name}", a.deleteDevice)
	route("GET /sim/faults", a.getFaults)
	route("PUT /sim/faults", a.putFaults)
	route("DELETE /sim/faults", a.deleteFaults)
	route("GET /sim/stats", a.getStats)
	route("DELETE /sim/stats", a.deleteStats)
	return plainErrors(mux)
}

func (a *api) getStats(*http.Request) (any, error) {
	out := map[string]stats.Snapshot{}
	for vendor, m := range a.Meters {
		out[vendor] = m.Snapshot()
	}
	return out, nil
}

func (a *api) deleteStats(*http.Request) (any, error) {
	for _, m := range a.Meters {
		m.Reset()
	}
	return nil, nil
}
