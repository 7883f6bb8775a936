package lvmcli

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewObserver registers the histogram of command durations and returns what feeds it.
// Errors: those of the registerer.
func NewObserver(registerer prometheus.Registerer) (Observer, error) {
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "berth_lvm_command_duration_seconds",
		Help: "Duration of LVM executions by command and exit code; killed and hung ones passed their deadline.",
		// lvs takes 20 ms on a quiet host; a minute is the default deadline of a change.
		Buckets: []float64{0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60},
	}, []string{"command", "code"})
	if err := registerer.Register(durations); err != nil {
		return nil, err
	}
	return func(command, code string, duration time.Duration) {
		durations.WithLabelValues(command, code).Observe(duration.Seconds())
	}, nil
}
