package api

import (
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/diaphone-dev/diaphone/gateway"
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
