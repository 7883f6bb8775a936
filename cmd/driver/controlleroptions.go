package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/csi"
)

// controllerOptions are the flags of `driver controller`.
type controllerOptions struct {
	endpoint      string
	httpAddress   string
	kubeconfig    string
	namespace     string
	identity      string
	kubeAPIQPS    float32
	kubeAPIBurst  int
	agentPatience time.Duration
	agentStale    time.Duration
	janitorPeriod time.Duration
	janitorGrace  time.Duration
}

func defaultControllerOptions() *controllerOptions {
	o := &controllerOptions{
		endpoint:      "unix:///csi/csi.sock",
		httpAddress:   ":9808",
		namespace:     v1alpha1.Namespace,
		kubeAPIQPS:    200,
		kubeAPIBurst:  400,
		agentPatience: csi.DefaultAgentPatience,
		agentStale:    csi.DefaultAgentStale,
		janitorPeriod: csi.DefaultJanitorPeriod,
		janitorGrace:  csi.DefaultJanitorGrace,
	}
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		o.namespace = namespace
	}
	if o.identity = os.Getenv("POD_NAME"); o.identity == "" {
		// Unknown is refused by validate, with the flag's name.
		o.identity, _ = os.Hostname()
	}
	return o
}

func (o *controllerOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.endpoint, "csi-endpoint", o.endpoint, "unix socket of the CSI services, as a path or unix://path")
	flags.StringVar(&o.httpAddress, "http-address", o.httpAddress, "address of /metrics and /healthz; empty for none")
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "kubeconfig file; empty inside a cluster")
	flags.StringVar(&o.namespace, "namespace", o.namespace, "namespace of the agents' Leases and of the janitor's; $POD_NAMESPACE when set")
	flags.StringVar(&o.identity, "leader-election-identity", o.identity, "this process's name in the janitor's leader election; $POD_NAME when set")
	flags.Float32Var(&o.kubeAPIQPS, "kube-api-qps", o.kubeAPIQPS, "requests a second to the API server")
	flags.IntVar(&o.kubeAPIBurst, "kube-api-burst", o.kubeAPIBurst, "requests to the API server in a burst")
	flags.DurationVar(&o.agentPatience, "agent-patience", o.agentPatience, "how long a new volume waits for its agent before node and agent are looked at, and the time between looks")
	flags.DurationVar(&o.agentStale, "agent-stale", o.agentStale, "age of an agent's Lease past which a volume that it has not accepted is withdrawn")
	flags.DurationVar(&o.janitorPeriod, "janitor-period", o.janitorPeriod, "time between two sweeps of the janitor")
	flags.DurationVar(&o.janitorGrace, "janitor-grace", o.janitorGrace, "how long the janitor leaves a volume without claim, or the volumes of a node that is gone, alone")
}

func (o *controllerOptions) validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		value time.Duration
	}{
		{"agent-patience", o.agentPatience},
		{"agent-stale", o.agentStale},
		{"janitor-period", o.janitorPeriod},
		{"janitor-grace", o.janitorGrace},
	} {
		if f.value <= 0 {
			errs = append(errs, fmt.Errorf("--%s: %s is not positive", f.name, f.value))
		}
	}
	for _, f := range []struct{ name, value string }{
		{"csi-endpoint", o.endpoint},
		{"namespace", o.namespace},
		{"leader-election-identity", o.identity},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("--%s is empty", f.name))
		}
	}
	return errors.Join(errs...)
}
