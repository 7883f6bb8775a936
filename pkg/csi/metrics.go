package csi

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// Metrics counts CSI calls and the janitor's removals.
type Metrics struct {
	operations *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	removals   *prometheus.CounterVec
}

// NewMetrics registers the metrics of one process.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_csi_operations_total",
			Help: "CSI calls answered, by method and gRPC code.",
		}, []string{"method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "berth_csi_operation_duration_seconds",
			Help:    "Time from a CSI call to its answer, by method and gRPC code.",
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"method", "code"}),
		removals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_janitor_removals_total",
			Help: "LogicalVolume objects that the janitor ordered Absent or deleted, by reason.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.operations, m.duration, m.removals)
	return m
}

func (m *Metrics) observe(method string, code codes.Code, elapsed time.Duration) {
	m.operations.WithLabelValues(method, code.String()).Inc()
	m.duration.WithLabelValues(method, code.String()).Observe(elapsed.Seconds())
}
