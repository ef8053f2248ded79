package hooks

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone"
)

// Metrics of webhooks. Labels are bounded: webhooks and classes of answers, never a
// channel or user.
type Metrics struct {
	appended  *prometheus.CounterVec
	delivered *prometheus.CounterVec
	buried    *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	failing   *prometheus.GaugeVec
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	hook := []string{"app", "webhook"}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "diaphone_webhook_" + name, Help: help}, append(hook, more...))
	}
	m := &Metrics{
		appended:  counter("notices_appended_total", "Notices put into the log of a webhook."),
		delivered: counter("notices_delivered_total", "Notices that the endpoint has taken."),
		buried:    counter("notices_buried_total", "Notices given up after a day, now dead letters."),
		dropped:   counter("notices_dropped_total", "Client events, cache misses and counts dropped because the store took nothing or too many notices wait."),
		attempts:  counter("attempts_total", "Requests, by class of the answer.", "answer"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "diaphone_webhook_attempt_duration_seconds",
			Help: "From sending a request to the answer.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 11)}, hook),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "diaphone_webhook_failing",
			Help: "1 while the last attempt was in vain."}, hook),
	}
	r.MustRegister(m.appended, m.delivered, m.buried, m.dropped, m.attempts, m.duration, m.failing)
	return m
}

func count(c *prometheus.CounterVec, id diaphone.WebhookID, n int) {
	c.WithLabelValues(string(id.App), id.Name).Add(float64(n))
}

func (m *Metrics) fail(id diaphone.WebhookID, failing bool) {
	v := 0.0
	if failing {
		v = 1
	}
	m.failing.WithLabelValues(string(id.App), id.Name).Set(v)
}
