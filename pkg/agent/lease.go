package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

const (
	// leaseInterval is how often the Lease is renewed, leaseDuration how long it is good; leaseRetry is the pause
	// after a renewal that did not succeed.
	leaseInterval = 60 * time.Second
	leaseDuration = 180 * time.Second
	leaseRetry    = 5 * time.Second
)

// renewLease keeps the Lease that says this agent is alive. client-go's lease controller is not used because it
// deletes the Lease whenever it starts, and a missing Lease reads as a silent agent.
func (a *Agent) renewLease(ctx context.Context) {
	for {
		pause := leaseInterval + rand.N(leaseInterval/20)
		if err := a.renewLeaseOnce(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Renew lease")
			pause = leaseRetry
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

func (a *Agent) renewLeaseOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	leases := a.options.Kubernetes.CoordinationV1().Leases(a.options.Namespace)
	name := v1alpha1.AgentLeasePrefix + a.options.NodeName
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err := a.node(ctx)
		if err != nil {
			return err
		}
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{ownerReference(node)}},
			Spec:       a.leaseSpec(),
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	lease.Spec = a.leaseSpec()
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

func (a *Agent) leaseSpec() coordinationv1.LeaseSpec {
	return coordinationv1.LeaseSpec{
		HolderIdentity:       ptr.To(a.options.NodeName),
		LeaseDurationSeconds: ptr.To(int32(leaseDuration / time.Second)),
		RenewTime:            &metav1.MicroTime{Time: time.Now()},
	}
}
