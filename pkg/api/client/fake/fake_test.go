package fake_test

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/client/fake"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

func volume(name, node string) *v1alpha1.LogicalVolume {
	lv := &v1alpha1.LogicalVolume{}
	lv.Name = name
	lv.Spec = v1alpha1.LogicalVolumeSpec{NodeName: node, DeviceClass: "ssd", SizeBytes: 1 << 60}
	return lv
}

func TestWritesConflict(t *testing.T) {
	ctx := context.Background()
	volumes := fake.New().LogicalVolumes()
	created, err := volumes.Create(ctx, volume("v", "a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := volumes.Create(ctx, volume("v", "a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("second create: %v, want AlreadyExists", err)
	}
	accepted := created.DeepCopy()
	accepted.Spec.SizeBytes = 1
	accepted.Status.Phase = v1alpha1.PhaseAccepted
	if accepted, err = volumes.UpdateStatus(ctx, accepted, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if accepted.Spec.SizeBytes != 1<<60 || accepted.Generation != 1 {
		t.Errorf("a status update changed the spec: %+v", accepted)
	}
	if _, err := volumes.UpdateStatus(ctx, created, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("status update with an old resourceVersion: %v, want a conflict", err)
	}
	old := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &created.UID, ResourceVersion: &created.ResourceVersion}}
	if err := volumes.Delete(ctx, "v", old); !apierrors.IsConflict(err) {
		t.Errorf("delete with an old resourceVersion: %v, want a conflict", err)
	}
	patched, err := volumes.Patch(ctx, "v", types.MergePatchType, []byte(`{"spec":{"state":"Absent"}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if patched.Spec.State != v1alpha1.StateAbsent || patched.Spec.SizeBytes != 1<<60 || patched.Generation != 2 || patched.Status.Phase != v1alpha1.PhaseAccepted {
		t.Errorf("patched: %+v", patched)
	}
	if err := volumes.Delete(ctx, "v", metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(created.UID))}); err != nil {
		t.Error(err)
	}
	if _, err := volumes.Get(ctx, "v", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get after delete: %v, want NotFound", err)
	}
}

func TestHookRefuses(t *testing.T) {
	c := fake.New()
	refused := errors.New("refused")
	c.SetHook(func(a fake.Action) error {
		if a.Verb == "create" && a.Resource == "logicalvolumes" {
			return refused
		}
		return nil
	})
	if _, err := c.LogicalVolumes().Create(context.Background(), volume("v", "a"), metav1.CreateOptions{}); !errors.Is(err, refused) {
		t.Errorf("create: %v, want the hook's error", err)
	}
}

func TestInformerSeesItsNodeOnly(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := fake.New()
	before := volume("before", "a")
	before.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	for _, lv := range []*v1alpha1.LogicalVolume{before, volume("other", "b")} {
		if _, err := c.LogicalVolumes().Create(ctx, lv, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	informer := client.NewLogicalVolumeInformer(c, client.OnNode("a"))
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		t.Fatal("the informer does not sync")
	}
	for _, lv := range []*v1alpha1.LogicalVolume{volume("after", "a"), volume("other-2", "b")} {
		if _, err := c.LogicalVolumes().Create(ctx, lv, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	lister := client.LogicalVolumeLister(informer)
	deadline := time.Now().Add(5 * time.Second)
	for len(informer.GetStore().ListKeys()) != 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	for name, want := range map[string]bool{"before": true, "after": true, "other": false, "other-2": false} {
		lv, err := lister.Get(name)
		if found := err == nil; found != want {
			t.Errorf("%s: found %t, want %t (%v)", name, found, want, err)
		} else if found && lv.ManagedFields != nil {
			t.Errorf("%s: managedFields are kept", name)
		}
	}
}
