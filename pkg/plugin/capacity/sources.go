package capacity

import (
	"context"
	"fmt"
	"sync/atomic"
	"unique"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
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
	// Dynamic is watched for VolumeSnapshotContents; nil for a cluster without.
	Dynamic dynamic.Interface
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
		ownInformer(client.NewNodeStorageInformer(sources.Berth, fields.Everything()), stripReport, needed),
		ownInformer(client.NewLogicalVolumeInformer(sources.Berth, fields.Everything()), stripVolume, needed),
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
	if sources.Dynamic != nil {
		// Not waited for: the custom resource is not ours, and most clusters do without what it is for.
		contents := contentInformer(sources.Dynamic)
		if _, err := contents.AddEventHandler(l.contentHandler()); err != nil {
			return fmt.Errorf("watch VolumeSnapshotContents: %w", err)
		}
		own = append(own, contents)
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

// What it means that a custom resource is missing.
const (
	needed   = "pods with claims of ours wait for it, others do not"
	optional = "snapshots are found by the names they were made for"
)

// ownInformer prepares an informer that nobody else uses: its objects lose what nobody reads, and while its resource
// is missing it says so once and not at every attempt.
func ownInformer(informer cache.SharedIndexInformer, strip cache.TransformFunc, effect string) cache.SharedIndexInformer {
	var told atomic.Bool
	// Neither can fail before the informer is started.
	_ = informer.SetTransform(strip)
	_ = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		if !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
			told.Store(false)
			cache.DefaultWatchErrorHandler(ctx, r, err)
			return
		}
		if !told.Swap(true) {
			klog.FromContext(ctx).Info("A custom resource is not installed", "effect", effect, "err", err)
		}
	})
	return informer
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

// stripReport leaves of a NodeStorage what newReport reads. What is kept of it in memory is per node.
func stripReport(object any) (any, error) {
	storage, ok := object.(*v1alpha1.NodeStorage)
	if !ok {
		return object, nil
	}
	storage.ObjectMeta = stripped(storage.ObjectMeta)
	for i := range storage.Status.VolumeGroups {
		storage.Status.VolumeGroups[i].Orphans, storage.Status.VolumeGroups[i].Message = nil, ""
	}
	return storage, nil
}

// stripVolume leaves of a LogicalVolume what newVolume and GrowthRefused read. What is kept of it in memory is per
// volume.
func stripVolume(object any) (any, error) {
	v, ok := object.(*v1alpha1.LogicalVolume)
	if !ok {
		return object, nil
	}
	v.TypeMeta, v.ObjectMeta = metav1.TypeMeta{}, stripped(v.ObjectMeta)
	claim := v1alpha1.ClaimReference{UID: v.Spec.ClaimRef.UID}
	if v.IsSnapshot() {
		claim = v.Spec.ClaimRef
	}
	v.Spec = v1alpha1.LogicalVolumeSpec{
		NodeName: intern(v.Spec.NodeName), DeviceClass: intern(v.Spec.DeviceClass), Kind: v.Spec.Kind, SizeBytes: v.Spec.SizeBytes,
		State: v.Spec.State, ClaimRef: claim,
	}
	v.Status = v1alpha1.LogicalVolumeStatus{
		Phase: v.Status.Phase, Code: v.Status.Code, AllocatedBytes: v.Status.AllocatedBytes,
		ObservedGeneration: v.Status.ObservedGeneration,
		VolumeGroup: v1alpha1.VolumeGroupReference{
			Name: intern(v.Status.VolumeGroup.Name), UUID: intern(v.Status.VolumeGroup.UUID), Seqno: v.Status.VolumeGroup.Seqno,
		},
	}
	return v, nil
}

// stripped keeps of an object's metadata what tells it from others and from itself at other times.
func stripped(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation, CreationTimestamp: m.CreationTimestamp,
	}
}

// intern returns one copy of a string that many volumes share.
func intern(s string) string { return unique.Make(s).Value() }
