package csi

import (
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

// place chooses the node and device class of a new volume. The first preferred topology is where the pod is to run,
// so that another one would not do; without a preference the node with the most bytes left is taken.
//
// Whether the volume fits is not asked where the node is given: the agent knows, and a report may be older than the
// space that was freed since. Refusing here on an old report would send a pod away that fits.
//
// A volume that is made from a source, which may be nil, goes where that is.
// Errors: errInvalid (device class unknown everywhere, or not encrypted as the source is), errNoNode.
func (c *Controller) place(o *order, source *v1alpha1.LogicalVolume) (*v1alpha1.NodeStorage, *v1alpha1.DeviceClassStatus, error) {
	var report *v1alpha1.NodeStorage
	var err error
	if source != nil {
		report, err = c.nodeOf(o, source)
	} else {
		report, err = c.chooseNode(o)
	}
	if err != nil {
		return nil, nil, err
	}
	class, ok := classOf(report, o.deviceClass)
	if !ok {
		return nil, nil, c.classError(o.deviceClass, fmt.Sprintf("node %s", report.Name))
	}
	if source != nil && class.Encryption != source.Spec.Encryption {
		return nil, nil, fmt.Errorf("%w volume_content_source: %s has encryption %q, device class %s has %q",
			errInvalid, source.Name, source.Spec.Encryption, class.Name, class.Encryption)
	}
	return report, class, nil
}

// nodeOf is the node of a source, if the order may go there. Errors that clear the claim's node: the pod is placed again,
// by a scheduler that looks where the source is.
// Errors: errNoNode.
func (c *Controller) nodeOf(o *order, source *v1alpha1.LogicalVolume) (*v1alpha1.NodeStorage, error) {
	nodeName := source.Spec.NodeName
	if !o.allows(nodeName) {
		return nil, fmt.Errorf("%s is on node %s, which is not asked for: %w", source.Name, nodeName, errNoNode)
	}
	report, err := c.storages.lister.Get(nodeName)
	if err != nil {
		return nil, fmt.Errorf("%s is on node %s, which reports no storage: %w", source.Name, nodeName, errNoNode)
	}
	return report, nil
}

func (c *Controller) chooseNode(o *order) (*v1alpha1.NodeStorage, error) {
	if len(o.preferred) > 0 {
		return c.nodeAt(o.preferred[0])
	}
	candidates := c.storages.all()
	if len(o.requisite) > 0 {
		candidates = nil
		for _, topology := range o.requisite {
			if report, err := c.nodeAt(topology); err == nil {
				candidates = append(candidates, report)
			}
		}
	}
	if len(candidates) == 1 {
		return candidates[0], nil
	}
	return c.mostFree(candidates, o)
}

// mostFree picks the node with the most bytes left for the order's class.
func (c *Controller) mostFree(candidates []*v1alpha1.NodeStorage, o *order) (*v1alpha1.NodeStorage, error) {
	var best *v1alpha1.NodeStorage
	most, served := int64(-1), false
	for _, report := range candidates {
		if _, ok := classOf(report, o.deviceClass); ok {
			served = true
		}
		space, layout, ok := c.spaceFor(report, o.deviceClass)
		if !ok {
			continue
		}
		if free := space.FreeBytesFor(layout); free > most {
			best, most = report, free
		}
	}
	if best != nil {
		return best, nil
	}
	if served {
		return nil, fmt.Errorf("device class %q: no volume group of it is usable on any of %d nodes: %w", o.deviceClass, len(candidates), errNoNode)
	}
	return nil, c.classError(o.deviceClass, fmt.Sprintf("any of %d nodes", len(candidates)))
}

// nodeAt finds the node that a topology names.
// Errors: errNoNode.
func (c *Controller) nodeAt(topology *csi.Topology) (*v1alpha1.NodeStorage, error) {
	value := topology.GetSegments()[v1alpha1.TopologyKey]
	if value == "" {
		return nil, fmt.Errorf("%w accessibility_requirements: no segment %s", errInvalid, v1alpha1.TopologyKey)
	}
	report, ok := c.storages.at(value)
	if !ok {
		return nil, fmt.Errorf("node %s reports no storage: %w", value, errNoNode)
	}
	return report, nil
}

// classError says of a device class that is not served somewhere whether it is served anywhere.
func (c *Controller) classError(deviceClass, where string) error {
	for _, report := range c.storages.all() {
		if _, ok := classOf(report, deviceClass); ok {
			return fmt.Errorf("device class %q is not served on %s: %w", deviceClass, where, errNoNode)
		}
	}
	known := c.storages.classNames()
	if deviceClass == "" {
		return fmt.Errorf("%w: %s is not given and no node has a default class; known are %v", lvm.ErrInvalidParameter, lvm.ParameterDeviceClass, known)
	}
	return fmt.Errorf("%w: %s is %q, which no node serves; known are %v", lvm.ErrInvalidParameter, lvm.ParameterDeviceClass, deviceClass, known)
}
