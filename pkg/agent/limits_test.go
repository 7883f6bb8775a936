package agent

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/qos"
)

// cgroups answers for the host's, and keeps what it was asked for.
type cgroups struct {
	mu     sync.Mutex
	asked  []qos.Volume
	passes int
	answer qos.Result
}

func (c *cgroups) apply(volumes []qos.Volume) ([]qos.Result, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passes++
	c.asked = volumes
	var results []qos.Result
	for _, volume := range volumes {
		c.answer.ID = volume.ID
		results = append(results, c.answer)
	}
	return results, nil
}

// setAnswer is what the host's cgroups say from now on.
func (c *cgroups) setAnswer(answer qos.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

// during counts the passes while time passes; asked is what the last pass ever was asked for.
func (c *cgroups) during(r *rig, d time.Duration) (n int, asked []qos.Volume) {
	c.mu.Lock()
	before := c.passes
	c.mu.Unlock()
	r.wait(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passes - before, c.asked
}

// countEvents counts the events with this text since the last look.
func countEvents(r *rig, text string) int {
	n := 0
	for {
		select {
		case event := <-r.events.Events:
			if strings.Contains(event, text) {
				n++
			}
		default:
			return n
		}
	}
}

func TestLimits(t *testing.T) {
	inBubble(t, func(r *rig) {
		c := &cgroups{}
		r.limit = c.apply
		r.writeConfig(clearAndEncrypted)
		r.start()
		r.create(order("v"))
		r.create(encryptedOrder("w", "xfs"))
		r.wait(5 * time.Second)
		r.agent.Published("v")
		if n, _ := c.during(r, 5*time.Minute); n != 0 {
			t.Errorf("%d passes while nothing is limited", n)
		}

		r.patch("v", `{"spec":{"qos":{"readIOPS":100,"writeBytesPerSecond":1048576}}}`)
		want := qos.Limits{ReadOperations: 100, WriteBytes: mi}
		n, asked := c.during(r, time.Second)
		if n != 1 || len(asked) != 1 || asked[0].ID != "v" || asked[0].Limits != want {
			t.Errorf("%d passes, asked for %+v", n, asked)
		}
		if path := asked[0].Devices; len(path) != 1 || !strings.HasSuffix(path[0], "vg0-v") {
			t.Errorf("devices %q", path)
		}
		if n, _ := c.during(r, 10*time.Minute); n != 10 {
			t.Errorf("%d passes in ten minutes when all is well", n)
		}

		// A pod's cgroup is looked for often at first: after 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 seconds.
		c.setAnswer(qos.Result{Waiting: true})
		r.agent.Published("v")
		if n, _ := c.during(r, 10*time.Second); n != 7 {
			t.Errorf("%d passes in ten seconds while a cgroup is missing", n)
		}
		if n, _ := c.during(r, time.Hour); n > 65 {
			t.Errorf("%d passes in an hour while a cgroup is missing", n)
		}

		c.setAnswer(qos.Result{Err: errors.New("the io controller is off")})
		r.wait(10 * time.Minute)
		// On the volume and on its claim.
		if n := countEvents(r, v1alpha1.ReasonLimitsNotApplied); n != 2 {
			t.Errorf("%d events of trouble, want 2", n)
		}

		c.setAnswer(qos.Result{})
		r.patch("v", `{"spec":{"qos":null}}`)
		if n, asked := c.during(r, time.Second); n != 1 || len(asked) != 1 || asked[0].Limits != (qos.Limits{}) {
			t.Errorf("%d passes, asked for %+v, want the limits lifted", n, asked)
		}
		if n, _ := c.during(r, 10*time.Minute); n != 0 {
			t.Errorf("%d passes after the limits were lifted", n)
		}

		r.patch("w", `{"spec":{"qos":{"readIOPS":1}}}`)
		if _, asked := c.during(r, time.Second); len(asked) != 1 || asked[0].Devices[0] != "/dev/mapper/berth@w" {
			t.Errorf("asked for %+v, want the plaintext device", asked)
		}
	})
}

// What a process before this one set is set again without anybody's doing.
func TestLimitsAfterARestart(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.limit = (&cgroups{}).apply
		r.create(order("v", func(lv *v1alpha1.LogicalVolume) { lv.Spec.QoS = &v1alpha1.QualityOfService{WriteIOPS: 5} }))
		r.start()
		r.wait(5 * time.Second)
		r.halt()
		c := &cgroups{}
		r.limit = c.apply
		r.start()
		if _, asked := c.during(r, 0); len(asked) != 1 || asked[0].Limits.WriteOperations != 5 {
			t.Errorf("asked for %+v", asked)
		}
	})
}
