package capacity

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

var contentResource = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotcontents"}

func contentInformer(client dynamic.Interface) cache.SharedIndexInformer {
	informer := dynamicinformer.NewFilteredDynamicInformer(client, contentResource, metav1.NamespaceAll, 0, cache.Indexers{}, nil)
	return ownInformer(informer.Informer(), stripContent, optional)
}

// stripContent leaves of a VolumeSnapshotContent what readContent reads.
func stripContent(object any) (any, error) {
	content, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	left := &unstructured.Unstructured{Object: map[string]any{}}
	left.SetName(content.GetName())
	left.SetUID(content.GetUID())
	left.SetResourceVersion(content.GetResourceVersion())
	for _, path := range [][]string{
		{"spec", "driver"}, {"spec", "source", "snapshotHandle"}, {"spec", "volumeSnapshotRef", "namespace"},
		{"spec", "volumeSnapshotRef", "name"}, {"status", "snapshotHandle"},
	} {
		if value := text(content, path...); value != "" {
			// The maps on the way are made here.
			_ = unstructured.SetNestedField(left.Object, value, path...)
		}
	}
	return left, nil
}

// text is a string in an object, or empty.
func text(object *unstructured.Unstructured, path ...string) string {
	value, _, err := unstructured.NestedString(object.Object, path...)
	if err != nil {
		return ""
	}
	return value
}

func (l *Ledger) contentHandler() cache.ResourceEventHandler {
	observe := func(object any) {
		content := object.(*unstructured.Unstructured)
		origin, handle, ok := readContent(content)
		if !ok {
			l.ForgetContent(content.GetName())
			return
		}
		l.ObserveContent(content.GetName(), origin, handle)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    observe,
		UpdateFunc: func(_, object any) { observe(object) },
		DeleteFunc: func(object any) {
			if name, ok := deletedName(object); ok {
				l.ForgetContent(name)
			}
		},
	}
}

// readContent says which VolumeSnapshot a content is for and which snapshot of ours it names; ok is false while it names
// none.
func readContent(content *unstructured.Unstructured) (s Origin, handle string, ok bool) {
	handle = text(content, "status", "snapshotHandle")
	if handle == "" {
		handle = text(content, "spec", "source", "snapshotHandle")
	}
	s = Origin{
		Namespace: text(content, "spec", "volumeSnapshotRef", "namespace"), Snapshot: text(content, "spec", "volumeSnapshotRef", "name"),
	}
	return s, handle, handle != "" && s.Snapshot != "" && text(content, "spec", "driver") == v1alpha1.DriverName
}

// ObserveContent takes in that a VolumeSnapshotContent names a snapshot as that of a VolumeSnapshot.
func (l *Ledger) ObserveContent(name string, s Origin, snapshotID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.contents[name]; ok && old == s && l.handles[s][name] == snapshotID {
		return
	}
	l.forgetContent(name)
	l.contents[name] = s
	if l.handles[s] == nil {
		l.handles[s] = map[string]string{}
	}
	l.handles[s][name] = snapshotID
	if node, ok := l.volumes[snapshotID]; ok && l.sought(snapshotID) {
		l.improve(node)
	}
	l.signal()
}

// ForgetContent follows the deletion of a VolumeSnapshotContent.
func (l *Ledger) ForgetContent(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetContent(name)
}

func (l *Ledger) forgetContent(name string) {
	s, ok := l.contents[name]
	if !ok {
		return
	}
	delete(l.contents, name)
	if delete(l.handles[s], name); len(l.handles[s]) == 0 {
		delete(l.handles, s)
	}
}
