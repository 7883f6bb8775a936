package capacity

import (
	"context"
	"fmt"
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	storagehelpers "k8s.io/component-helpers/storage/volume"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Sources is where the ledger learns from.
type Sources struct {
	// Berth is watched for NodeStorages and LogicalVolumes, Kube for the Leases of agents in Namespace.
	Berth     client.Interface
	Kube      kubernetes.Interface
	Namespace string
	// Shared is the scheduler's own factory, which the scheduler starts: claims, classes and pods.
	Shared informers.SharedInformerFactory
	// Resolve reads a claim; false when it is none of ours, as far as can be told now.
	Resolve func(*v1.PersistentVolumeClaim) (Claim, bool)
}

// Start feeds the ledger until ctx ends and marks it synced once all sources have been read. It does not wait: with the
// custom resources missing the ledger stays unsynced, and looks again until they are there.
// Errors: an informer of Shared that was stopped already.
func (l *Ledger) Start(ctx context.Context, sources Sources) error {
	own := []cache.SharedIndexInformer{
		client.NewNodeStorageInformer(sources.Berth, fields.Everything()),
		client.NewLogicalVolumeInformer(sources.Berth, fields.Everything()),
		leaseInformer(sources),
	}
	claims := &claimHandler{
		ledger: l, resolve: sources.Resolve, lister: sources.Shared.Core().V1().PersistentVolumeClaims().Lister(),
	}
	classes := sources.Shared.Storage().V1().StorageClasses().Informer()
	handlers := []struct {
		informer cache.SharedIndexInformer
		handler  cache.ResourceEventHandler
	}{
		{own[0], l.nodeStorageHandler()},
		{own[1], l.logicalVolumeHandler()},
		{own[2], l.leaseHandler()},
		{sources.Shared.Core().V1().PersistentVolumeClaims().Informer(), claims},
		{classes, cache.ResourceEventHandlerFuncs{AddFunc: claims.onClass}},
		{sources.Shared.Core().V1().Pods().Informer(), l.podHandler()},
	}
	var synced []cache.InformerSynced
	for _, h := range handlers {
		registration, err := h.informer.AddEventHandler(h.handler)
		if err != nil {
			return fmt.Errorf("watch for the capacity ledger: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	for _, informer := range own {
		go informer.RunWithContext(ctx)
	}
	go l.Run(ctx)
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), synced...) {
			return
		}
		// Claims may have been handled before their classes were there.
		claims.replay(func(*v1.PersistentVolumeClaim) bool { return true })
		l.MarkSynced()
		klog.FromContext(ctx).Info("Capacity ledger is synced")
	}()
	return nil
}

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

// leaseInformer watches the Leases of Berth's namespace; besides the agents' there are only the leader elections'.
func leaseInformer(sources Sources) cache.SharedIndexInformer {
	factory := informers.NewSharedInformerFactoryWithOptions(sources.Kube, 0,
		informers.WithNamespace(sources.Namespace), informers.WithTransform(stripManagedFields))
	return factory.Coordination().V1().Leases().Informer()
}

// stripManagedFields drops what nobody here reads.
func stripManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
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
