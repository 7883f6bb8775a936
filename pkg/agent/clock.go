package agent

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// clockSample is the longest that an answer may take for its Date to say something about this host's clock.
const clockSample = time.Second

// ClockMeter compares this host's clock with the API server's, by the Date header of the answers that come anyway: the
// Lease is renewed every minute. What others compare the report's time with is theirs. The zero value is ready; safe
// for concurrent use.
type ClockMeter struct {
	mu     sync.Mutex
	turned func()
	off    bool
	// message is of the moment when the clock was found off.
	message string
}

// Wrap returns a transport that is rt and measures.
func (m *ClockMeter) Wrap(rt http.RoundTripper) http.RoundTripper {
	return roundTripperFunc(func(request *http.Request) (*http.Response, error) {
		sent := time.Now()
		response, err := rt.RoundTrip(request)
		if err == nil {
			if date, dateErr := http.ParseTime(response.Header.Get("Date")); dateErr == nil {
				m.observe(sent, time.Now(), date)
			}
		}
		return response, err
	})
}

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// observe takes in one answer. The server wrote date, a whole second rounded down, between sent and received: that
// bounds the offset from both sides. Where the bounds do not decide, the clock stays what it was.
func (m *ClockMeter) observe(sent, received, date time.Time) {
	if received.Sub(sent) > clockSample {
		return
	}
	const most = v1alpha1.MaxClockOffset
	least, greatest := sent.Sub(date)-time.Second, received.Sub(date)
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.off
	switch {
	case least > most:
		m.set(true, fmt.Sprintf("the clock is about %s ahead of the API server's", least.Round(time.Second)))
	case greatest < -most:
		m.set(true, fmt.Sprintf("the clock is about %s behind the API server's", (-greatest).Round(time.Second)))
	case least >= -most && greatest <= most:
		m.set(false, "")
	}
	if m.off != before && m.turned != nil {
		m.turned()
	}
}

// set keeps the first message, so that a drifting clock does not write the NodeStorage again and again.
func (m *ClockMeter) set(off bool, message string) {
	if m.off != off {
		m.off, m.message = off, message
	}
}

// onTurn sets what is called, without waiting, when the clock is found off or right again.
func (m *ClockMeter) onTurn(turned func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turned = turned
}

// condition is ClockInSync as of now.
func (m *ClockMeter) condition() metav1.Condition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return metav1.Condition{
			Type: v1alpha1.NodeStorageClockInSync, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonClockOff, Message: m.message,
		}
	}
	return metav1.Condition{Type: v1alpha1.NodeStorageClockInSync, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
}
