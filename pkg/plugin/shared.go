package plugin

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/plugin/capacity"
)

// shared is the process's one ledger. The scheduler makes a plugin per profile and gives them nothing in common to
// hang a ledger on; two ledgers would promise the same bytes twice.
var shared struct {
	mu     sync.Mutex
	ctx    context.Context
	ledger *capacity.Ledger
}

// sharedLedger returns the process's ledger and starts it for the first profile, or when the scheduler that it was
// started for has ended.
func sharedLedger(ctx context.Context, handle fwk.Handle) (*capacity.Ledger, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.ledger != nil && shared.ctx.Err() == nil {
		return shared.ledger, nil
	}
	berth, err := client.New(handle.KubeConfig())
	if err != nil {
		return nil, err
	}
	snapshots, err := dynamic.NewForConfig(handle.KubeConfig())
	if err != nil {
		return nil, fmt.Errorf("client of VolumeSnapshotContents: %w", err)
	}
	ledger := capacity.New(time.Now)
	if err := ledger.Start(ctx, sources(handle, berth, snapshots)); err != nil {
		return nil, fmt.Errorf("start the capacity ledger: %w", err)
	}
	shared.ctx, shared.ledger = ctx, ledger
	return ledger, nil
}

// currentLedger is the process's ledger, or nil.
func currentLedger() *capacity.Ledger {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return shared.ledger
}

func sources(handle fwk.Handle, berth client.Interface, snapshots dynamic.Interface) capacity.Sources {
	informers := handle.SharedInformerFactory()
	classes := informers.Storage().V1().StorageClasses().Lister()
	return capacity.Sources{
		Berth: berth, Kube: handle.ClientSet(), Namespace: v1alpha1.Namespace, Dynamic: snapshots, Shared: informers,
		Resolve: func(pvc *v1.PersistentVolumeClaim) (capacity.Claim, bool) {
			claim, err := newClaim(pvc, classes)
			return claim, err == nil
		},
	}
}
