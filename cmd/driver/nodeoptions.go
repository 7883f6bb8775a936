package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// nodeOptions are the flags of `driver node`.
type nodeOptions struct {
	nodeName           string
	config             string
	endpoint           string
	kubeletEndpoint    string
	registrationSocket string
	lockFile           string
	cgroupRoot         string
	httpAddress        string
	kubeconfig         string
	namespace          string
}

func defaultNodeOptions() *nodeOptions {
	o := &nodeOptions{
		nodeName:           os.Getenv("NODE_NAME"),
		config:             "/etc/berth/config.yaml",
		endpoint:           "unix:///var/lib/kubelet/plugins/" + v1alpha1.DriverName + "/csi.sock",
		registrationSocket: "/var/lib/kubelet/plugins_registry/" + v1alpha1.DriverName + "-reg.sock",
		lockFile:           "/run/lock/lvm/berth-agent.lock",
		cgroupRoot:         "/host/cgroup",
		httpAddress:        ":9808",
		namespace:          v1alpha1.Namespace,
	}
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		o.namespace = namespace
	}
	return o
}

func (o *nodeOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.nodeName, "node-name", o.nodeName, "name of this node in Kubernetes; $NODE_NAME when set")
	flags.StringVar(&o.config, "config", o.config, "file of volume groups and device classes; changes are picked up within seconds")
	flags.StringVar(&o.endpoint, "csi-endpoint", o.endpoint, "unix socket of the CSI services, as a path or unix://path")
	flags.StringVar(&o.kubeletEndpoint, "kubelet-endpoint", o.kubeletEndpoint, "path of the CSI socket as the kubelet sees it; empty when it is that of --csi-endpoint")
	flags.StringVar(&o.registrationSocket, "registration-socket", o.registrationSocket, "socket in the kubelet's plugins_registry directory; empty to not register")
	flags.StringVar(&o.lockFile, "lock-file", o.lockFile, "file, shared by all agents of this node, that admits one of them")
	flags.StringVar(&o.cgroupRoot, "cgroup-root", o.cgroupRoot, "directory of the host's cgroup v2 that holds kubepods or kubepods.slice, for the limits of volumes")
	flags.StringVar(&o.httpAddress, "http-address", o.httpAddress, "address of /metrics and /healthz; empty for none")
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "kubeconfig file; empty inside a cluster")
	flags.StringVar(&o.namespace, "namespace", o.namespace, "namespace of the agents' Leases; $POD_NAMESPACE when set")
}

func (o *nodeOptions) validate() error {
	var errs []error
	for _, f := range []struct{ name, value string }{
		{"node-name", o.nodeName},
		{"config", o.config},
		{"csi-endpoint", o.endpoint},
		{"lock-file", o.lockFile},
		{"namespace", o.namespace},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("--%s is empty", f.name))
		}
	}
	return errors.Join(errs...)
}

// endpointForKubelet is what the kubelet is told to dial.
func (o *nodeOptions) endpointForKubelet() string {
	if o.kubeletEndpoint != "" {
		return o.kubeletEndpoint
	}
	return strings.TrimPrefix(o.endpoint, "unix://")
}
