package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/berth-dev/berth/test/lab/layout"
)

// setUpNetwork makes the bridge, one tap per node and the routes, in one call of ip.
func setUpNetwork(nodes int) error {
	lines := []string{
		"link set lo up",
		"link add " + layout.BridgeName + " type bridge forward_delay 0",
		fmt.Sprintf("addr add %s/%d dev %s", layout.ControlPlaneAddress, layout.NodePrefixBits, layout.BridgeName),
		fmt.Sprintf("addr add %s/32 dev %s", layout.APIServiceAddress, layout.BridgeName),
		"link set " + layout.BridgeName + " up",
		// No service but the API server's has an address that works: others fail at once instead of timing out.
		"route add unreachable " + layout.ServiceRange,
	}
	for i := range nodes {
		tap := layout.TapName(i)
		lines = append(lines,
			"tuntap add dev "+tap+" mode tap",
			"link set "+tap+" master "+layout.BridgeName+" up",
			fmt.Sprintf("route add %s via %s", layout.PodSubnet(i), layout.NodeAddress(i)))
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("set up the network: %w: %s", err, output)
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
}
