package nodeos

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/berth-dev/berth/test/lab/layout"
)

func TestPodNetworkHasTheNodesSubnet(t *testing.T) {
	var config struct {
		Plugins []struct {
			Type string
			IPAM struct {
				Ranges [][]struct{ Subnet string }
				Routes []struct{ Dst string }
			}
		}
	}
	if err := json.Unmarshal(fmt.Appendf(nil, podNetwork, layout.PodSubnet(2)), &config); err != nil {
		t.Fatal(err)
	}
	ipam := config.Plugins[0].IPAM
	if got := ipam.Ranges[0][0].Subnet; got != "10.244.3.0/24" {
		t.Errorf("subnet %s", got)
	}
	if len(ipam.Routes) != 1 || ipam.Routes[0].Dst != "0.0.0.0/0" {
		t.Errorf("routes %v, want a default route", ipam.Routes)
	}
}

func TestKubeletUsesTheNodesOwnCertificate(t *testing.T) {
	config := kubeletConfig(layout.Boot{Name: "node3", Index: 2, PKI: "/pki", VolumeStatsPeriod: "5s"})
	for key, want := range map[string]any{
		"address": "192.168.77.12", "tlsCertFile": "/pki/kubelet-node3.crt", "tlsPrivateKeyFile": "/pki/kubelet-node3.key",
		"volumeStatsAggPeriod": "5s",
	} {
		if config[key] != want {
			t.Errorf("%s is %v, want %v", key, config[key], want)
		}
	}
}

func TestMainIsNotForPeople(t *testing.T) {
	t.Setenv(layout.BootVariable, "")
	if Main() {
		t.Error("took the part of a node's init outside a node")
	}
}
