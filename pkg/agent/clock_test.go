package agent

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

func TestClockMeter(t *testing.T) {
	date := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(offset time.Duration) time.Time { return date.Add(offset) }
	for _, test := range []struct {
		name string
		// sent and took are of each answer; all carry the same date.
		sent, took []time.Duration
		wantOff    bool
		wantTurns  int
	}{
		{"right", []time.Duration{500 * time.Millisecond}, []time.Duration{20 * time.Millisecond}, false, 0},
		// The server wrote at most 12:00:00.999: 6.1 s later is at least 5.1 s ahead.
		{"ahead", []time.Duration{6100 * time.Millisecond}, []time.Duration{20 * time.Millisecond}, true, 1},
		{"behind", []time.Duration{-5200 * time.Millisecond}, []time.Duration{20 * time.Millisecond}, true, 1},
		{"may be 5 s or less", []time.Duration{5900 * time.Millisecond}, []time.Duration{20 * time.Millisecond}, false, 0},
		{"may be 5 s or more, and was off", []time.Duration{7 * time.Second, 5900 * time.Millisecond},
			[]time.Duration{0, 20 * time.Millisecond}, true, 1},
		{"right again", []time.Duration{7 * time.Second, 4900 * time.Millisecond}, []time.Duration{0, 20 * time.Millisecond}, false, 2},
		{"a slow answer says nothing", []time.Duration{time.Minute}, []time.Duration{2 * time.Second}, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			meter, turns := &ClockMeter{}, 0
			meter.onTurn(func() { turns++ })
			for i, sent := range test.sent {
				meter.observe(at(sent), at(sent+test.took[i]), date)
			}
			want := metav1.ConditionTrue
			if test.wantOff {
				want = metav1.ConditionFalse
			}
			if got := meter.condition(); got.Status != want || turns != test.wantTurns {
				t.Errorf("condition %+v after %d turns, want %s after %d", got, turns, want, test.wantTurns)
			}
		})
	}
}

func TestClockMeterReadsAnswers(t *testing.T) {
	meter := &ClockMeter{}
	transport := meter.Wrap(roundTripperFunc(func(*http.Request) (*http.Response, error) {
		date := time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Date": {date}}, Body: http.NoBody}, nil
	}))
	response, err := transport.RoundTrip(&http.Request{})
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("round trip: %v, %v", response, err)
	}
	if c := meter.condition(); c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonClockOff {
		t.Errorf("a minute ahead: %+v", c)
	}
}

// An agent whose clock is off says so in its NodeStorage at once, and takes it back when the clock is right.
func TestClockIsReported(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		if c := r.condition(v1alpha1.NodeStorageClockInSync); c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v, want true", c)
		}
		now := time.Now()
		r.agent.options.Clock.observe(now, now, now.Add(-time.Hour))
		r.wait(2 * time.Second)
		if c := r.condition(v1alpha1.NodeStorageClockInSync); c.Status != metav1.ConditionFalse {
			t.Errorf("condition %+v, want false", c)
		}
		r.agent.options.Clock.observe(now, now, now)
		r.wait(2 * time.Second)
		if c := r.condition(v1alpha1.NodeStorageClockInSync); c.Status != metav1.ConditionTrue {
			t.Errorf("condition %+v, want true again", c)
		}
	})
}
