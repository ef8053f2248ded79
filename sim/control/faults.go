package control

import (
	"net/http"

	"github.com/diaphone-dev/diaphone/sim/fault"
)

func (a *api) getFaults(*http.Request) (any, error) {
	return list[fault.Active]{a.Faults.List()}, nil
}

// putFaults replaces the plan, or with an error leaves it as it was.
func (a *api) putFaults(r *http.Request) (any, error) {
	faults, _, err := decodeOneOrMany[fault.Fault](r)
	if err != nil {
		return nil, err
	}
	for i, f := range faults {
		check := a.Check[f.Provider]
		if check == nil {
			return nil, invalid("provider: must be %q, %q or %q, not %q", fault.APNs, fault.FCM, fault.WebPush, f.Provider)
		}
		if faults[i], err = check(f); err != nil {
			return nil, invalid("%v", err)
		}
	}
	a.Faults.Set(faults)
	return list[fault.Active]{a.Faults.List()}, nil
}

func (a *api) deleteFaults(*http.Request) (any, error) {
	a.Faults.Set(nil)
	return nil, nil
}
