package api

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the HTTP server. Every label has few values: the templates of the
// routes, the methods of RFC 9110 and five classes of status.
type metrics struct {
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                        "diaphone_http_request_duration_seconds",
			Help:                        "How long requests took, by route template, method and class of status. A WebSocket counts until its upgrade.",
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor: 1.1,
		}, []string{"route", "method", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "diaphone_http_requests_in_flight",
			Help: "Requests that are being answered.",
		}),
	}
	for _, c := range []prometheus.Collector{m.duration, m.inFlight} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe counts a request that has been answered.
func (m *metrics) observe(c echo.Context, took time.Duration) {
	m.duration.WithLabelValues(routeOf(c), methodLabel(c.Request().Method), classOf(statusOf(c))).Observe(took.Seconds())
}

func classOf(status int) string {
	const classes = "0xx1xx2xx3xx4xx5xx"
	i := 3 * min(status/100, 5)
	return classes[i : i+3]
}

// methodLabel bounds what a client may invent.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
