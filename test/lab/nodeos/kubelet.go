package nodeos

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/berth-dev/berth/test/lab/layout"
)

// kubeletConfig follows the defaults of a real cluster where it can. A node's memory is small and its images must
// stay, as no registry has them: the limits of eviction and image collection are set out of the way.
func kubeletConfig(boot layout.Boot) map[string]any {
	pki := func(name string) string { return filepath.Join(boot.PKI, name) }
	return map[string]any{
		"apiVersion":                  "kubelet.config.k8s.io/v1beta1",
		"kind":                        "KubeletConfiguration",
		"address":                     layout.NodeAddress(boot.Index),
		"port":                        layout.KubeletPort,
		"cgroupDriver":                "cgroupfs",
		"failSwapOn":                  false,
		"clusterDomain":               "cluster.local",
		"clusterDNS":                  []string{layout.DNSServiceAddress},
		"maxPods":                     110,
		"staticPodPath":               "",
		"tlsCertFile":                 pki("kubelet-" + boot.Name + ".crt"),
		"authentication":              map[string]any{"x509": map[string]any{"clientCAFile": pki("ca.crt")}},
		"tlsPrivateKeyFile":           pki("kubelet-" + boot.Name + ".key"),
		"containerRuntimeEndpoint":    "unix://" + containerdSocket,
		"imageServiceEndpoint":        "unix://" + containerdSocket,
		"imageGCHighThresholdPercent": 100,
		"imageGCLowThresholdPercent":  99,
		"evictionHard":                map[string]string{"memory.available": "20Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"volumeStatsAggPeriod":        boot.VolumeStatsPeriod,
		"fileCheckFrequency":          "1m0s",
		"logging":                     map[string]any{"verbosity": boot.LogVerbosity},
	}
}

func (n *node) startKubelet() error {
	content, err := yaml.Marshal(kubeletConfig(n.boot))
	if err != nil {
		return err
	}
	const config = "/run/kubelet.yaml"
	if err := os.WriteFile(config, content, 0o644); err != nil {
		return err
	}
	return startDaemon("kubelet", n.boot.Programs["kubelet"], n.logFile("kubelet"),
		"--config="+config,
		"--kubeconfig="+filepath.Join(n.boot.PKI, "kubelet-"+n.boot.Name+".kubeconfig"),
		"--hostname-override="+n.boot.Name,
		"--node-ip="+layout.NodeAddress(n.boot.Index),
		"--root-dir=/var/lib/kubelet",
		fmt.Sprintf("--node-labels=lab.berth.dev/index=%d", n.boot.Index),
	)
}
