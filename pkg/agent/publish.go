package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/berth-dev/berth/pkg/api/client"
	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const (
	// publishInterval is the least time between two writes of the NodeStorage.
	publishInterval = time.Second
	// publishTimeout bounds one attempt to write it, publishRetry is the pause after a failed one.
	publishTimeout = 15 * time.Second
	publishRetry   = 2 * time.Second
	// heartbeat is how often the NodeStorage is written when nothing changes; up to a tenth is added at random so
	// that agents started together drift apart.
	heartbeat = 10 * time.Minute
)

// publisher keeps the node's NodeStorage as the agent sees it.
type publisher struct {
	client   client.NodeStorages
	recorder record.EventRecorder
	// node returns the Node object, read from the API server.
	node func(ctx context.Context) (*corev1.Node, error)
	// status builds what is to be published, without conditions, and says what is wrong with configuration and
	// report.
	status func() (status v1alpha1.NodeStorageStatus, configErr, reportErr error)
	// problems are what else keeps the node from being ready.
	problems func() []problem
	// others are the conditions that do not follow from status.
	others func() []metav1.Condition

	name string
	// wake holds a token when there may be news; force when it is to be written even if nothing changed.
	wake, force chan struct{}
	published   *v1alpha1.NodeStorage
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// notify asks for a look at what is to be published.
func (p *publisher) notify() { signal(p.wake) }

// insist asks for a write whether or not anything but the time changed.
func (p *publisher) insist() { signal(p.force) }

// run writes until ctx ends.
func (p *publisher) run(ctx context.Context) {
	for ctx.Err() == nil {
		forced := false
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-p.force:
			forced = true
		case <-time.After(heartbeat + rand.N(heartbeat/10)):
			forced = true
		}
		pause := publishInterval
		if wrote, err := p.publish(ctx, forced); err != nil {
			klog.FromContext(ctx).Error(err, "Publish NodeStorage")
			pause = publishRetry
			p.insist()
		} else if !wrote {
			pause = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// publish writes the status if it differs from the published one, or if forced, and returns whether it did.
func (p *publisher) publish(ctx context.Context, forced bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	current, err := p.object(ctx)
	if err != nil {
		return false, err
	}
	status, configErr, reportErr := p.status()
	status.Conditions = conditions(current.Status.Conditions, status, p.problems(), configErr, reportErr, p.others()...)
	if !forced && sameButTime(current.Status, status) {
		return false, nil
	}
	wanted := current.DeepCopy()
	wanted.Status = status
	written, err := p.client.UpdateStatus(ctx, wanted, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		p.published = nil
	}
	if err != nil {
		return false, fmt.Errorf("update: %w", err)
	}
	p.announce(current.Status, written)
	p.published = written
	return true, nil
}

func sameButTime(a, b v1alpha1.NodeStorageStatus) bool {
	a.ObservedAt = b.ObservedAt
	return apiequality.Semantic.DeepEqual(a, b)
}

// object is the NodeStorage as last written, read or made.
func (p *publisher) object(ctx context.Context) (*v1alpha1.NodeStorage, error) {
	if p.published != nil {
		return p.published, nil
	}
	found, err := p.client.Get(ctx, p.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		found, err = p.create(ctx)
	}
	if err != nil {
		return nil, err
	}
	p.published, err = p.own(ctx, found)
	return p.published, err
}

func (p *publisher) create(ctx context.Context) (*v1alpha1.NodeStorage, error) {
	node, err := p.node(ctx)
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	o := &v1alpha1.NodeStorage{ObjectMeta: metav1.ObjectMeta{Name: p.name, OwnerReferences: []metav1.OwnerReference{ownerReference(node)}}}
	return p.client.Create(ctx, o, metav1.CreateOptions{})
}

// own makes the Node as it is now the owner: after the node joined again the old one's UID is nobody's, and garbage
// collection would take the object.
func (p *publisher) own(ctx context.Context, o *v1alpha1.NodeStorage) (*v1alpha1.NodeStorage, error) {
	node, err := p.node(ctx)
	if err != nil {
		return nil, err
	}
	owner := ownerReference(node)
	if len(o.OwnerReferences) == 1 && o.OwnerReferences[0] == owner {
		return o, nil
	}
	owned := o.DeepCopy()
	owned.OwnerReferences = []metav1.OwnerReference{owner}
	return p.client.Update(ctx, owned, metav1.UpdateOptions{})
}

func ownerReference(node *corev1.Node) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}
}

// announce records an event where a condition or a volume group's usability turned.
func (p *publisher) announce(before v1alpha1.NodeStorageStatus, o *v1alpha1.NodeStorage) {
	node := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: p.name, UID: types.UID(p.name)}
	for _, c := range o.Status.Conditions {
		old := meta.FindStatusCondition(before.Conditions, c.Type)
		if c.Status == metav1.ConditionFalse && (old == nil || old.Status != c.Status || old.Message != c.Message) {
			p.recorder.Event(node, corev1.EventTypeWarning, c.Reason, c.Message)
		}
		if c.Status == metav1.ConditionTrue && old != nil && old.Status == metav1.ConditionFalse {
			p.recorder.Eventf(node, corev1.EventTypeNormal, c.Reason, "NodeStorage condition %s is true again", c.Type)
		}
	}
	for _, vg := range o.Status.VolumeGroups {
		for _, orphan := range vg.Orphans {
			if !hadOrphan(before, vg.Name, orphan.Name) {
				p.recorder.Eventf(node, corev1.EventTypeWarning, v1alpha1.ReasonOrphan, "%s/%s: %s", vg.Name, orphan.Name, orphan.Message)
			}
		}
	}
}

func hadOrphan(status v1alpha1.NodeStorageStatus, vgName, name string) bool {
	for _, vg := range status.VolumeGroups {
		for _, orphan := range vg.Orphans {
			if vg.Name == vgName && orphan.Name == name {
				return true
			}
		}
	}
	return false
}
