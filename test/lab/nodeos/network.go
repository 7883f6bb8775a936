package nodeos

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/berth-dev/berth/test/lab/layout"
)

// setUpNetwork configures the one network device, in one call of ip.
func (n *node) setUpNetwork() error {
	script := strings.Join([]string{
		"link set lo up",
		fmt.Sprintf("addr add %s/%d dev vec0", layout.NodeAddress(n.boot.Index), layout.NodePrefixBits),
		"link set vec0 up",
		"route add default via " + layout.ControlPlaneAddress,
	}, "\n")
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(script)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, output)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	return n.writePodNetwork()
}

// podNetwork is the configuration of the pod network. Addresses are kept under /run: after a restart no pod
// sandbox is left, and an address on disk would be leaked.
const podNetwork = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": false,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "ranges": [[{"subnet": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
`

const podNetworkDir = "/etc/cni/net.d"

func (n *node) writePodNetwork() error {
	// The host's own files, if it has any, would win by their names.
	if err := os.RemoveAll(podNetworkDir); err != nil {
		return err
	}
	if err := os.MkdirAll(podNetworkDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(podNetworkDir+"/10-pods.conflist", fmt.Appendf(nil, podNetwork, layout.PodSubnet(n.boot.Index)), 0o644)
}
