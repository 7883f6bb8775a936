//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"
)

// timeline notes, by watching, when pods were given their nodes and claims their selected-node.
type timeline struct {
	mu sync.Mutex
	// pods and claims are by name, and by node.
	pods, claims map[string]moment
}

type moment struct {
	node string
	at   time.Time
}

// watchTimes starts a timeline that ends with the test.
func watchTimes(t *testing.T, e *environment) *timeline {
	t.Helper()
	l := &timeline{pods: map[string]moment{}, claims: map[string]moment{}}
	ctx, cancel := context.WithCancel(context.Background())
	factory := informers.NewSharedInformerFactory(e.kube, 0)
	for informer, note := range map[cache.SharedIndexInformer]func(any){
		factory.Core().V1().Pods().Informer(): func(object any) {
			l.note(l.pods, object.(*v1.Pod).Name, object.(*v1.Pod).Spec.NodeName)
		},
		factory.Core().V1().PersistentVolumeClaims().Informer(): func(object any) {
			claim := object.(*v1.PersistentVolumeClaim)
			l.note(l.claims, claim.Name, claim.Annotations[storagehelpers.AnnSelectedNode])
		},
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: note, UpdateFunc: func(_, object any) { note(object) },
		}); err != nil {
			t.Fatal(err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	t.Cleanup(func() {
		cancel()
		factory.Shutdown()
	})
	return l
}

func (l *timeline) note(moments map[string]moment, name, node string) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if node != "" && moments[name].node != node {
		moments[name] = moment{node, now}
	}
}

// placed is when a pod was given its node, and which; zero before.
func (l *timeline) placed(pod string) moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pods[pod]
}

// selected is when a claim was given its node, and which; zero before.
func (l *timeline) selected(claim string) moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claims[claim]
}

// spread is what is said of many durations.
type spread struct {
	count          int
	p50, p99, most time.Duration
}

func spreadOf(durations []time.Duration) spread {
	slices.Sort(durations)
	at := func(percent int) time.Duration { return durations[(len(durations)-1)*percent/100] }
	return spread{len(durations), at(50), at(99), at(100)}
}

func (s spread) String() string {
	const unit = 100 * time.Microsecond
	return fmt.Sprintf("%d times, p50 %v, p99 %v, at most %v", s.count, s.p50.Round(unit), s.p99.Round(unit), s.most.Round(unit))
}
