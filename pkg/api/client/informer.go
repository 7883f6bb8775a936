package client

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/listers"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Lister reads an informer's cache. Its objects are shared: copy before changing.
type Lister[T runtime.Object] = listers.ResourceIndexer[T]

// NewNodeStorageInformer watches the NodeStorages that selector picks (metadata.name is supported). Objects come
// without managedFields. The informer is to be run by the caller and never resyncs.
func NewNodeStorageInformer(c Interface, selector fields.Selector) cache.SharedIndexInformer {
	return newInformer(c.NodeStorages(), &v1alpha1.NodeStorage{}, selector)
}

// NewLogicalVolumeInformer watches the LogicalVolumes that selector picks (metadata.name and spec.nodeName are
// supported). Objects come without managedFields. The informer is to be run by the caller and never resyncs.
func NewLogicalVolumeInformer(c Interface, selector fields.Selector) cache.SharedIndexInformer {
	return newInformer(c.LogicalVolumes(), &v1alpha1.LogicalVolume{}, selector)
}

// OnNode selects the LogicalVolumes of one node.
func OnNode(nodeName string) fields.Selector {
	return fields.OneTermEqualSelector("spec.nodeName", nodeName)
}

// Named selects the one object of that name.
func Named(name string) fields.Selector {
	return fields.OneTermEqualSelector(metav1.ObjectNameField, name)
}

// NodeStorageLister reads the cache of an informer of NodeStorages.
func NodeStorageLister(informer cache.SharedIndexInformer) Lister[*v1alpha1.NodeStorage] {
	return listers.New[*v1alpha1.NodeStorage](informer.GetIndexer(), v1alpha1.NodeStoragesResource.GroupResource())
}

// LogicalVolumeLister reads the cache of an informer of LogicalVolumes.
func LogicalVolumeLister(informer cache.SharedIndexInformer) Lister[*v1alpha1.LogicalVolume] {
	return listers.New[*v1alpha1.LogicalVolume](informer.GetIndexer(), v1alpha1.LogicalVolumesResource.GroupResource())
}

func newInformer[T, L runtime.Object](c Resource[T, L], example T, selector fields.Selector) cache.SharedIndexInformer {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector.String()
			return c.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector.String()
			return c.Watch(ctx, options)
		},
	}
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, c), example, 0, cache.Indexers{})
	// An informer that has not been started accepts a transform; no other error exists.
	_ = informer.SetTransform(stripManagedFields)
	return informer
}

// stripManagedFields drops what nobody here reads and what is half of a small object's memory.
func stripManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}
