package plugin

import (
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

const subsystem = "berth_scheduler"

// Metrics appear on the scheduler's own /metrics.
var (
	rejections = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "rejections_total", StabilityLevel: metrics.ALPHA,
		Help: "Nodes rejected in Filter or Reserve, by reason.",
	}, []string{"reason"})
	decisionSeconds = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Subsystem: subsystem, Name: "decision_duration_seconds", StabilityLevel: metrics.ALPHA,
		// Filter, a fraction of a microsecond for each node, would take longer with a clock at its side; the scheduler's
		// own scheduler_plugin_execution_duration_seconds samples it.
		Help: "Time of PreFilter and Reserve, by extension point.",
		// 1 µs to 65 ms.
		Buckets: metrics.ExponentialBuckets(1e-6, 4, 9),
	}, []string{"extension_point"})

	reservedBytes = metrics.NewDesc("berth_scheduler_reserved_bytes",
		"Bytes promised to pods and not yet in a node's report, by who speaks for them: a LogicalVolume, a claim with selected-node, a reservation of this process, or a bridge over what has gone.",
		[]string{"source"}, nil, metrics.ALPHA, "")
	reportAge = metrics.NewDesc("berth_scheduler_report_age_seconds",
		"Age of the oldest sign of life among the agents of nodes with a report.", nil, nil, metrics.ALPHA, "")
	reports = metrics.NewDesc("berth_scheduler_reports",
		"Nodes with a report: seen; silent, when their agent has never given a sign of life; clock_off, when its clock cannot be trusted.", []string{"agent"}, nil, metrics.ALPHA, "")
	tombstones = metrics.NewDesc("berth_scheduler_tombstones",
		"What has gone and may still take space: reservations taken back, claims gone or bound, volumes gone.", []string{"kind"}, nil, metrics.ALPHA, "")
	waitingPods = metrics.NewDesc("berth_scheduler_waiting_pods",
		"Pods in scheduling with claims of ours.", nil, nil, metrics.ALPHA, "")
	wokenPods = metrics.NewDesc("berth_scheduler_woken_pods_total",
		"Waiting pods activated because space came free for them.", nil, nil, metrics.ALPHA, "")
	refusedVolumes = metrics.NewDesc("berth_scheduler_refused_volumes_total",
		"Volumes that an agent refused for lack of space after their placement, whoever placed them. It stays 0 with one active scheduler, unless somebody takes space behind its back.", nil, nil, metrics.ALPHA, "")
)

var registerOnce sync.Once

// registerMetrics is called for each profile.
func registerMetrics() {
	registerOnce.Do(func() {
		legacyregistry.MustRegister(rejections, decisionSeconds)
		legacyregistry.CustomMustRegister(&ledgerCollector{ledger: currentLedger})
	})
}

// rejectionCounters are found once: Filter counts a rejection for each node.
var rejectionCounters = sync.OnceValue(func() map[capacity.Reason]metrics.CounterMetric {
	// A counter that is found before it is registered counts nothing.
	registerMetrics()
	counters := map[capacity.Reason]metrics.CounterMetric{}
	for reason, label := range reasonLabels {
		counters[reason] = rejections.WithLabelValues(label)
	}
	return counters
})

func countRejection(reason capacity.Reason) { rejectionCounters()[reason].Inc() }

func observeDuration(extensionPoint string, start time.Time) {
	decisionSeconds.WithLabelValues(extensionPoint).Observe(time.Since(start).Seconds())
}

// ledgerCollector adds a ledger up when it is asked to.
type ledgerCollector struct {
	metrics.BaseStableCollector
	// ledger returns nil while there is none.
	ledger func() *capacity.Ledger
}

// DescribeWithStability names what is collected.
func (c *ledgerCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{reservedBytes, tombstones, reportAge, reports, waitingPods, wokenPods, refusedVolumes} {
		ch <- desc
	}
}

// CollectWithStability collects.
func (c *ledgerCollector) CollectWithStability(ch chan<- metrics.Metric) {
	ledger := c.ledger()
	if ledger == nil {
		return
	}
	stats := ledger.Stats()
	gauge := func(desc *metrics.Desc, value float64, labels ...string) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, labels...)
	}
	for source, bytes := range stats.ReservedBytes {
		gauge(reservedBytes, float64(bytes), string(source))
	}
	for kind, count := range stats.Tombstones {
		gauge(tombstones, float64(count), string(kind))
	}
	gauge(reportAge, stats.OldestReport.Seconds())
	gauge(reports, float64(stats.Reports-stats.Silent), "seen")
	gauge(reports, float64(stats.Silent), "silent")
	gauge(reports, float64(stats.ClockOff), "clock_off")
	gauge(waitingPods, float64(stats.Waiting))
	ch <- metrics.NewLazyConstMetric(wokenPods, metrics.CounterValue, float64(stats.Woken))
	ch <- metrics.NewLazyConstMetric(refusedVolumes, metrics.CounterValue, float64(stats.Refusals))
}
