package api

import (
	"fmt"
	"math"
	"net/http"

	"github.com/diaphone-dev/diaphone/gateway"
)

// ShowQuota tells a publisher what is left of its rate
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/, draft 11);
// nothing when the app has none.
func ShowQuota(h http.Header, q gateway.Quota) {
	if q.Limit <= 0 {
		return
	}
	h.Set("RateLimit-Policy", fmt.Sprintf(`"publishes";q=%d;w=1`, q.Limit))
	h.Set("RateLimit", fmt.Sprintf(`"publishes";r=%d;t=%d`, q.Left, int(math.Ceil(q.Reset.Seconds()))))
}
