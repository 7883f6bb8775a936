package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// metrics are the agent's, but for those of LVM commands (pkg/lvm/lvmcli) and of CSI calls (pkg/csi).
type metrics struct {
	operations *prometheus.CounterVec
	durations  *prometheus.HistogramVec

	size, free, spare, reserve, available *prometheus.GaugeVec
	orphans                               prometheus.Gauge

	pool           poolGauges
	poolExtensions *prometheus.CounterVec
}

// poolGauges are by volume group and thin pool.
type poolGauges struct{ size, used, metadataSize, metadataUsed, virtual *prometheus.GaugeVec }

// newMetrics registers the metrics. age gives the age of the last report.
func newMetrics(registerer prometheus.Registerer, age func() time.Duration) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	ofPool := func(name, help string) *prometheus.GaugeVec { return gauge(name, help, "volume_group", "thin_pool") }
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_volume_operations_total",
			Help: "Attempts to create, expand or delete a volume on this node, by gRPC code of the outcome.",
		}, []string{"operation", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "berth_volume_operation_duration_seconds",
			Help:    "Time from the first attempt of an operation on a volume to its success.",
			Buckets: prometheus.ExponentialBuckets(0.02, 2, 16),
		}, []string{"operation"}),
		size:      gauge("berth_volume_group_size_bytes", "Size of a configured volume group.", "volume_group"),
		free:      gauge("berth_volume_group_free_bytes", "Unallocated bytes of a volume group, spare and growth reserve included.", "volume_group"),
		spare:     gauge("berth_volume_group_spare_bytes", "Bytes of a volume group that are never given out.", "volume_group"),
		reserve:   gauge("berth_volume_group_growth_reserve_bytes", "Bytes of a volume group that are held back for growth the agent makes: what such growth has left of them.", "volume_group"),
		available: gauge("berth_device_class_available_bytes", "Bytes that new volumes of a device class can take; classes of one volume group share them.", "device_class"),
		orphans:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "berth_orphans", Help: "Logical volumes of Berth's that have no LogicalVolume object."}),
		pool: poolGauges{
			size:         ofPool("berth_thin_pool_size_bytes", "Size of a thin pool's data."),
			used:         ofPool("berth_thin_pool_used_bytes", "Bytes of a thin pool's data that are taken, in steps of a percent; all of them when it takes nothing new."),
			metadataSize: ofPool("berth_thin_pool_metadata_size_bytes", "Size of a thin pool's metadata."),
			metadataUsed: ofPool("berth_thin_pool_metadata_used_bytes", "Bytes of a thin pool's metadata that are taken, in steps of a percent."),
			virtual:      ofPool("berth_thin_pool_virtual_bytes", "Sizes of all volumes in a thin pool, added up."),
		},
		poolExtensions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_thin_pool_extensions_total", Help: "Extensions of a thin pool out of the growth reserve.",
		}, []string{"volume_group", "thin_pool"}),
	}
	reportAge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "berth_report_age_seconds", Help: "Time since the volume groups were last seen as they are reported.",
	}, func() float64 { return age().Seconds() })
	registerer.MustRegister(m.operations, m.durations, m.size, m.free, m.spare, m.reserve, m.available, m.orphans, reportAge, m.poolExtensions)
	registerer.MustRegister(m.pool.all()...)
	return m
}

func (m *metrics) operation(operation string, code codes.Code) {
	m.operations.WithLabelValues(operation, code.String()).Inc()
}

func (m *metrics) succeeded(operation string, took time.Duration) {
	m.operation(operation, codes.OK)
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// show sets the gauges to what is published.
func (m *metrics) show(status v1alpha1.NodeStorageStatus) {
	for _, vec := range []*prometheus.GaugeVec{m.size, m.free, m.spare, m.reserve, m.available} {
		vec.Reset()
	}
	m.pool.reset()
	groups := map[string]v1alpha1.VolumeGroupStatus{}
	orphans := 0
	for _, vg := range status.VolumeGroups {
		m.size.WithLabelValues(vg.Name).Set(float64(vg.SizeBytes))
		m.free.WithLabelValues(vg.Name).Set(float64(vg.FreeBytes))
		m.spare.WithLabelValues(vg.Name).Set(float64(vg.SpareBytes))
		m.reserve.WithLabelValues(vg.Name).Set(float64(vg.GrowthReserveBytes))
		m.pool.show(vg)
		groups[vg.Name] = vg
		orphans += len(vg.Orphans)
	}
	for _, class := range status.DeviceClasses {
		m.available.WithLabelValues(class.Name).Set(float64(usableBytes(groups[class.VolumeGroup], class)))
	}
	m.orphans.Set(float64(orphans))
}

// usableBytes is what volumes of a class can come to.
func usableBytes(vg v1alpha1.VolumeGroupStatus, class v1alpha1.DeviceClassStatus) int64 {
	if !vg.Usable {
		return 0
	}
	return vg.Space().UsableBytes(class.VolumeLayout())
}

func (p poolGauges) all() []prometheus.Collector {
	return []prometheus.Collector{p.size, p.used, p.metadataSize, p.metadataUsed, p.virtual}
}

func (p poolGauges) reset() {
	for _, vec := range []*prometheus.GaugeVec{p.size, p.used, p.metadataSize, p.metadataUsed, p.virtual} {
		vec.Reset()
	}
}

func (p poolGauges) show(vg v1alpha1.VolumeGroupStatus) {
	for _, pool := range vg.ThinPools {
		p.size.WithLabelValues(vg.Name, pool.Name).Set(float64(pool.SizeBytes))
		p.used.WithLabelValues(vg.Name, pool.Name).Set(float64(pool.DataUsedBytes))
		p.metadataSize.WithLabelValues(vg.Name, pool.Name).Set(float64(pool.MetadataSizeBytes))
		p.metadataUsed.WithLabelValues(vg.Name, pool.Name).Set(float64(pool.MetadataUsedBytes))
		p.virtual.WithLabelValues(vg.Name, pool.Name).Set(float64(pool.VirtualBytes))
	}
}
