package push

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone"
)

// Metrics of the asleep side. Labels are bounded: lanes and verdicts, never a
// device, user or channel.
type Metrics struct {
	attempts   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	deliveries *prometheus.CounterVec
	endToEnd   *prometheus.HistogramVec
	inFlight   *prometheus.GaugeVec
	paused     *prometheus.GaugeVec
	guarded    *prometheus.GaugeVec
	forgotten  prometheus.Counter
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	lane := []string{"app", "credential"}
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "diaphone_push_attempts_total",
			Help: "Attempts at a provider, by verdict."}, append(lane, "verdict")),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "diaphone_push_attempt_duration_seconds",
			Help: "From sending a notification to the provider's answer.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 12)}, lane),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "diaphone_push_deliveries_total",
			Help: "Deliveries that ended, by final state."}, append(lane, "state")),
		endToEnd: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "diaphone_push_end_to_end_seconds",
			Help: "From accepting a message to its provider's acceptance.", Buckets: prometheus.ExponentialBuckets(0.005, 4, 12)}, lane),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "diaphone_push_in_flight",
			Help: "Attempts under way or not yet recorded."}, lane),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "diaphone_push_lane_paused",
			Help: "1 while a lane waits because its provider refuses the credential, or most of its tokens."}, lane),
		guarded: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "diaphone_push_lane_guarded",
			Help: "1 while most tokens of a lane look dead or wrong at once, so that none is removed."}, lane),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: "diaphone_push_tokens_forgotten_total",
			Help: "Dead tokens removed."}),
	}
	r.MustRegister(m.attempts, m.duration, m.deliveries, m.endToEnd, m.inFlight, m.paused, m.guarded, m.forgotten)
	return m
}

func (m *Metrics) attempted(l diaphone.Lane, o diaphone.Outcome, took time.Duration) {
	m.attempts.WithLabelValues(string(l.App), l.Credential, string(o.Verdict)).Inc()
	m.duration.WithLabelValues(string(l.App), l.Credential).Observe(took.Seconds())
}

func (m *Metrics) ended(l diaphone.Lane, s diaphone.State, since time.Duration) {
	m.deliveries.WithLabelValues(string(l.App), l.Credential, string(s)).Inc()
	if s == diaphone.Delivered {
		m.endToEnd.WithLabelValues(string(l.App), l.Credential).Observe(since.Seconds())
	}
}

func (m *Metrics) flying(l diaphone.Lane, n int) {
	m.inFlight.WithLabelValues(string(l.App), l.Credential).Set(float64(n))
}

func (m *Metrics) pausing(l diaphone.Lane, on bool) { flag(m.paused, l, on) }

func (m *Metrics) guarding(l diaphone.Lane, on bool) { flag(m.guarded, l, on) }

func flag(g *prometheus.GaugeVec, l diaphone.Lane, on bool) {
	v := 0.0
	if on {
		v = 1
	}
	g.WithLabelValues(string(l.App), l.Credential).Set(v)
}
