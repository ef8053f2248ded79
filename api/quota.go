package api

import (
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/diaphone-dev/diaphone/gateway"
	"github.com/diaphone-dev/diaphone/internal/throttle"
)

// ShowQuotas tells a publisher what is left of its rates
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/, draft 11);
// nothing when there are none.
func ShowQuotas(h http.Header, quotas []gateway.Quota) {
	if len(quotas) == 0 {
		return
	}
	policies, lefts := make([]string, len(quotas)), make([]string, len(quotas))
	for i, q := range quotas {
		policies[i] = fmt.Sprintf(`%q;q=%d;w=1`, q.Name, q.Limit)
		lefts[i] = fmt.Sprintf(`%q;r=%d;t=%d`, q.Name, q.Left, int(math.Ceil(q.Reset.Seconds())))
	}
	h.Set("RateLimit-Policy", strings.Join(policies, ", "))
	h.Set("RateLimit", strings.Join(lefts, ", "))
}

// ShowRoom tells a stranger what is left of the rate that the policy names; nothing when
// there is none.
func ShowRoom(h http.Header, policy string, r throttle.Room) {
	if r.Limit <= 0 {
		return
	}
	h.Set("RateLimit-Policy", fmt.Sprintf(`%q;q=%d;w=60`, policy, r.Limit))
	h.Set("RateLimit", fmt.Sprintf(`%q;r=%d;t=%d`, policy, r.Left, int(math.Ceil(r.Reset.Seconds()))))
}
