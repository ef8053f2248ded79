package device

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone/gateway"
)

// Metrics of the door. The label has the few words that the gateway knows.
type Metrics struct {
	refused *prometheus.CounterVec
}

// NewMetrics registers the metrics. Every word begins at zero, so that the first refusal
// can be seen to be one.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "diaphone_identities_refused_total",
		Help: "Device secrets and identity tokens that were refused, by reason.",
	}, []string{"reason"})}
	for _, word := range gateway.Refusals() {
		m.refused.WithLabelValues(word)
	}
	r.MustRegister(m.refused)
	return m
}

// count takes note of an error, if it is the refusal of an identity.
func (m *Metrics) count(err error) {
	if word := gateway.RefusalOf(err); word != "" && m != nil {
		m.refused.WithLabelValues(word).Inc()
	}
}
