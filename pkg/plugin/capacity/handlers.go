package capacity

import (
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

func (l *Ledger) nodeStorageHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { l.ObserveReport(object.(*v1alpha1.NodeStorage)) },
		UpdateFunc: func(_, object any) { l.ObserveReport(object.(*v1alpha1.NodeStorage)) },
		DeleteFunc: func(object any) {
			if name, ok := deletedName(object); ok {
				l.ForgetReport(name)
			}
		},
	}
}

func (l *Ledger) logicalVolumeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { l.ObserveVolume(object.(*v1alpha1.LogicalVolume)) },
		UpdateFunc: func(_, object any) { l.ObserveVolume(object.(*v1alpha1.LogicalVolume)) },
		DeleteFunc: func(object any) {
			// A tombstone carries the last state seen, which may not be the last there was.
			tombstone, uncertain := object.(cache.DeletedFinalStateUnknown)
			if uncertain {
				object = tombstone.Obj
			}
			if volume, ok := object.(*v1alpha1.LogicalVolume); ok {
				l.ForgetVolume(volume, !uncertain)
			}
		},
	}
}

func (l *Ledger) leaseHandler() cache.ResourceEventHandler {
	observe := func(object any) {
		lease := object.(*coordinationv1.Lease)
		if node, ok := strings.CutPrefix(lease.Name, v1alpha1.AgentLeasePrefix); ok && lease.Spec.RenewTime != nil {
			l.ObserveLease(node, lease.Spec.RenewTime.Time)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    observe,
		UpdateFunc: func(_, object any) { observe(object) },
		DeleteFunc: func(object any) {
			name, ok := deletedName(object)
			if node, isAgent := strings.CutPrefix(name, v1alpha1.AgentLeasePrefix); ok && isAgent {
				l.ForgetLease(node)
			}
		},
	}
}

func (l *Ledger) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, object any) {
			if pod := object.(*v1.Pod); pod.Spec.NodeName != "" {
				l.ForgetPod(pod.UID)
			}
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if pod, ok := object.(*v1.Pod); ok {
				l.ForgetPod(pod.UID)
			}
		},
	}
}

// deletedName is the name of a deleted cluster-scoped object or of one in a single namespace.
func deletedName(object any) (string, bool) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		_, name, err := cache.SplitMetaNamespaceKey(tombstone.Key)
		return name, err == nil
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return "", false
	}
	return accessor.GetName(), true
}

// claimHandler brings claims into the ledger. Its lock keeps a replay from the lister and the events apart, so that a
// replay cannot bring back a claim whose deletion has been handled.
type claimHandler struct {
	ledger  *Ledger
	lister  corelisters.PersistentVolumeClaimLister
	resolve func(*v1.PersistentVolumeClaim) (Claim, bool)

	mu sync.Mutex
}

// OnAdd takes in a claim.
func (h *claimHandler) OnAdd(object any, _ bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observe(object.(*v1.PersistentVolumeClaim))
}

// OnUpdate takes in a claim.
func (h *claimHandler) OnUpdate(_, object any) { h.OnAdd(object, false) }

// OnDelete follows a claim's deletion.
func (h *claimHandler) OnDelete(object any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if claim, ok := object.(*v1.PersistentVolumeClaim); ok {
		h.ledger.ForgetClaim(claim.UID)
	}
}

// onClass looks again at the claims of a class that has appeared.
func (h *claimHandler) onClass(object any) {
	name := object.(*storagev1.StorageClass).Name
	h.replay(func(claim *v1.PersistentVolumeClaim) bool {
		return storagehelpers.GetPersistentVolumeClaimClass(claim) == name
	})
}

func (h *claimHandler) replay(of func(*v1.PersistentVolumeClaim) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// A lister reads its cache and has no errors.
	claims, _ := h.lister.List(labels.Everything())
	for _, claim := range claims {
		if of(claim) {
			h.observe(claim)
		}
	}
}

// observe passes on claims of ours, and those that were when their class was still there.
func (h *claimHandler) observe(object *v1.PersistentVolumeClaim) {
	claim, ours := h.resolve(object)
	if ours || h.ledger.knowsClaim(object.UID) {
		h.ledger.ObserveClaim(claim, object.Spec.VolumeName != "")
	}
}
