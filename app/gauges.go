package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/hub"
	"github.com/diaphone-dev/diaphone/storage"
	"github.com/diaphone-dev/diaphone/storage/bolt"
)

// parts is a collector of what store and hub count themselves. It asks them when
// it is scraped, so that counting costs them nothing.
type parts struct {
	store   *bolt.Store
	hub     *hub.Hub
	refused *atomic.Int64
	stale   *atomic.Int64
	apps    []diaphone.AppID
	shown   *certificate // nil: no TLS
	expires map[diaphone.Lane]time.Time
}

var (
	commits      = desc("store_commits_total", "Transactions committed.")
	writes       = desc("store_writes_total", "Writes in them; divided by commits: how many share an fsync.")
	commitTime   = desc("store_commit_seconds_total", "Time spent in commits.")
	fileBytes    = desc("store_bytes", "Size of the data file.")
	freeBytes    = desc("store_free_bytes", "Part of the data file that is free to be used again.")
	quarantined  = desc("store_quarantined", "Records with a bad checksum, set aside and not served.")
	storeFull    = desc("store_full", "1 while writes that add something are refused, because the disk has too little room left.")
	storeRefused = desc("store_refused_total", "Writes that were refused for that.")
	staleGone    = desc("devices_stale_removed_total", "Devices removed because they had not registered again for --device-retention.")
	readOnly     = desc("store_read_only", "1 after a commit has failed.")
	scrubbed     = desc("store_scrubbed_records_total", "Records that the scrubber has verified.")
	scrubBad     = desc("store_scrub_corrupt_total", "Records that the scrubber has found damaged.")
	scrubPass    = desc("store_scrub_last_pass_timestamp_seconds", "When the scrubber last had verified all records, as Unix time; 0: not yet.")
	queueAge     = desc("push_queue_oldest_seconds", "How long the longest-waiting delivery of a lane has been due.", "app", "credential")
	pendingNow   = desc("push_pending", "Deliveries of an app that wait or are under way; its limits.pending bounds them.", "app")
	scheduledNow = desc("messages_scheduled", "Messages of an app that wait for their time; its limits.scheduled bounds them.", "app")
	connections  = desc("socket_connections", "Open sockets.")
	occupied     = desc("socket_channels", "Channels with at least one subscriber.")
	sent         = desc("socket_messages_sent_total", "Messages handed to sockets.")
	forbidden    = desc("egress_refused_total", "Requests to addresses that users gave, stopped because those are not public.")
	hookPending  = desc("webhook_pending", "Notices in the log of a webhook.", "app", "webhook")
	hookDead     = desc("webhook_dead_letters", "Notices of a webhook that were given up and can be sent again.", "app", "webhook")
	hookAge      = desc("webhook_oldest_seconds", "Age of the notice at the front of the log of a webhook.", "app", "webhook")
	certEnd      = desc("tls_certificate_expires_timestamp_seconds", "When the certificate in use expires.")
	keyEnd       = desc("push_credential_expires_timestamp_seconds", "When a credential ends by itself, as certificates of APNs do.", "app", "credential")
	slow         = desc("socket_dropped_slow_total", "Sockets closed because they did not read.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("diaphone_"+name, help, labels, nil)
}

// newLimitMetrics counts what the limits on publishing refuse.
func newLimitMetrics(r prometheus.Registerer) (refused func(app diaphone.AppID, limit string)) {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "diaphone_limit_refusals_total",
		Help: "Requests to publish that were refused, by limit: publishes (the app's rate), token (the bearer token's), pending, scheduled."}, []string{"app", "limit"})
	r.MustRegister(counter)
	return func(app diaphone.AppID, limit string) { counter.WithLabelValues(string(app), limit).Inc() }
}

// Describe implements prometheus.Collector.
func (p *parts) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(p, to) }

// Collect implements prometheus.Collector.
func (p *parts) Collect(to chan<- prometheus.Metric) {
	give := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	s := p.store.Stats()
	give(commits, prometheus.CounterValue, float64(s.Commits))
	give(writes, prometheus.CounterValue, float64(s.Writes))
	give(commitTime, prometheus.CounterValue, s.CommitTime.Seconds())
	give(fileBytes, prometheus.GaugeValue, float64(s.FileBytes))
	give(freeBytes, prometheus.GaugeValue, float64(s.FreeBytes))
	give(quarantined, prometheus.GaugeValue, float64(s.Quarantined))
	give(scrubbed, prometheus.CounterValue, float64(s.Scrubbed))
	give(scrubBad, prometheus.CounterValue, float64(s.ScrubbedBad))
	give(scrubPass, prometheus.GaugeValue, seconds(s.ScrubbedAt))
	give(storeFull, prometheus.GaugeValue, boolean(s.Full))
	give(storeRefused, prometheus.CounterValue, float64(s.RefusedFull))
	give(staleGone, prometheus.CounterValue, float64(p.stale.Load()))
	give(readOnly, prometheus.GaugeValue, boolean(s.ReadOnly))
	if due, err := p.store.OldestDue(context.Background()); err == nil {
		for lane, at := range due {
			give(queueAge, prometheus.GaugeValue, max(0, time.Since(at).Seconds()), string(lane.App), lane.Credential)
		}
	}
	for _, id := range p.apps {
		pending, scheduled := p.store.Backlog(id)
		give(pendingNow, prometheus.GaugeValue, float64(pending), string(id))
		give(scheduledNow, prometheus.GaugeValue, float64(scheduled), string(id))
	}
	if p.shown != nil {
		give(certEnd, prometheus.GaugeValue, float64(p.shown.current.Load().Leaf.NotAfter.Unix()))
	}
	for lane, end := range p.expires {
		give(keyEnd, prometheus.GaugeValue, float64(end.Unix()), string(lane.App), lane.Credential)
	}
	if queues, err := p.store.Queues(context.Background(), ""); err == nil {
		for _, q := range queues {
			labels := []string{string(q.Webhook.App), q.Webhook.Name}
			give(hookPending, prometheus.GaugeValue, float64(q.Pending), labels...)
			give(hookDead, prometheus.GaugeValue, float64(q.Dead), labels...)
			age := 0.0
			if !q.Oldest.IsZero() {
				age = max(0, time.Since(q.Oldest).Seconds())
			}
			give(hookAge, prometheus.GaugeValue, age, labels...)
		}
	}
	give(forbidden, prometheus.CounterValue, float64(p.refused.Load()))
	h := p.hub.Stats()
	give(connections, prometheus.GaugeValue, float64(h.Connections))
	give(occupied, prometheus.GaugeValue, float64(h.Channels))
	give(sent, prometheus.CounterValue, float64(h.Sent))
	give(slow, prometheus.CounterValue, float64(h.DroppedSlow))
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds gives a time as metrics do; the zero time is 0.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// countReceipts counts what devices report.
func countReceipts(r prometheus.Registerer) func(diaphone.AppID, diaphone.ReceiptKind, storage.ReceiptFate) {
	receipts := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "diaphone_receipts_total",
		Help: "What devices report of messages, by kind, and whether it was kept, known before, or of a message that the device was never owed."},
		[]string{"app", "kind", "result"})
	r.MustRegister(receipts)
	return func(app diaphone.AppID, kind diaphone.ReceiptKind, fate storage.ReceiptFate) {
		receipts.WithLabelValues(string(app), string(kind), string(fate)).Inc()
	}
}
