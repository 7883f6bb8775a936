package capacity

import "time"

// instant is a moment in nanoseconds since 1970, or 0 for none: a third of a time.Time, in what is kept per volume.
type instant int64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.UnixNano())
}

func (i instant) none() bool { return i == 0 }

// before tells whether the instant, and d more, is before t.
func (i instant) before(t time.Time, d time.Duration) bool { return i+instant(d) < instantOf(t) }

// What the ledger relies on from others. Each is a limit that something enforces or that is far from what is seen.
const (
	// clockMargin is what an agent's clock and this host's, or the API server's, may differ by: each may be off by
	// v1alpha1.MaxClockOffset. Of an agent that is off by more the report counts as unknown.
	clockMargin = 10 * time.Second
	// requestTimeout is kube-apiserver's limit on one request: a write whose caller has given up may land until then.
	requestTimeout = time.Minute
	// watchLag is how late an event may come. An informer that lost its watch lists again within half a minute.
	watchLag = 30 * time.Second
)

// What follows from it.
const (
	// looseFor is how long an un-reserved claim counts when no event tells whether its selected-node was written.
	looseFor = requestTimeout + watchLag
	// bridgeFor is how long a claim that is deleted or bound counts while its LogicalVolume has not been seen:
	// csi-provisioner hears of the deletion late, its last CreateVolume makes the object with its first request, and
	// the object is seen late. One that is seen counts by itself.
	bridgeFor = watchLag + requestTimeout + watchLag
	// vanishedFor limits how long a vanished LogicalVolume counts when no later report comes: longer than an agent's
	// heartbeat.
	vanishedFor = 15 * time.Minute
	// barredFor limits how long a refusal keeps a claim off a node when no later report comes.
	barredFor = time.Minute
	// waitingFor is how long a pod is remembered that has not come by: longer than the scheduling queue leaves any pod
	// lying (5 minutes).
	waitingFor = 30 * time.Minute
)
