package layout

import "fmt"

// The cluster's network exists only in its own network namespace, so every cluster uses the same addresses.
const (
	// ControlPlaneAddress is the bridge's address: the control plane listens there.
	ControlPlaneAddress = "192.168.77.1"
	// NodePrefixBits is the width of the nodes' network.
	NodePrefixBits = 24
	// ServiceRange is the cluster IP range.
	ServiceRange = "10.96.0.0/16"
	// APIServiceAddress is the cluster IP of the API server. It is an address of the bridge too, so pods reach the
	// API server without kube-proxy.
	APIServiceAddress = "10.96.0.1"
	// APIServerPort is the port of both addresses.
	APIServerPort = 443
	// DNSServiceAddress is written into kubelets' configuration. Nothing answers there: lookups fail at once.
	DNSServiceAddress = "10.96.0.10"
	// PodRange holds every node's pod subnet.
	PodRange = "10.244.0.0/16"
	// BridgeName is the bridge in the network namespace.
	BridgeName = "lab0"
	// ExecPort is where a node accepts commands.
	ExecPort = 9901
	// KubeletPort is the kubelet's port.
	KubeletPort = 10250
)

// firstNode is the last byte of the first node's address.
const firstNode = 10

// NodeAddress returns the address of the node at index.
func NodeAddress(index int) string { return fmt.Sprintf("192.168.77.%d", firstNode+index) }

// PodSubnet returns the pod subnet of the node at index.
func PodSubnet(index int) string { return fmt.Sprintf("10.244.%d.0/24", index+1) }

// TapName returns the network device of the node at index.
func TapName(index int) string { return fmt.Sprintf("tap%d", index) }

// HardwareAddress returns the Ethernet address of the node at index. It is fixed, so that a node which starts
// again is found under the neighbour entries that others hold.
func HardwareAddress(index int) string { return fmt.Sprintf("02:be:4d:00:00:%02x", firstNode+index) }

// APIServerURL returns the address that everything in the network namespace uses.
func APIServerURL() string { return fmt.Sprintf("https://%s:%d", ControlPlaneAddress, APIServerPort) }
