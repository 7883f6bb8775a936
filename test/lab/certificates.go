package lab

import (
	"github.com/berth-dev/berth/test/lab/layout"
	"github.com/berth-dev/berth/test/lab/pki"
)

// makePKI makes every certificate and kubeconfig of a cluster.
func makePKI(state layout.State, config layout.Config) error {
	authority, err := pki.NewAuthority(state.PKI(""))
	if err != nil {
		return err
	}
	if err := authority.WriteSigningKey("service-account"); err != nil {
		return err
	}
	for _, identity := range []pki.Identity{
		{File: "apiserver", User: "kube-apiserver", Hosts: []string{
			layout.ControlPlaneAddress, layout.APIServiceAddress, "127.0.0.1", "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{File: "apiserver-kubelet", User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
	} {
		if err := authority.Issue(identity); err != nil {
			return err
		}
	}
	identities := []pki.Identity{
		{File: "admin", User: "admin", Groups: []string{"system:masters"}},
		{File: "controller-manager", User: "system:kube-controller-manager"},
		{File: "scheduler", User: "system:kube-scheduler"},
	}
	for i, node := range config.Nodes {
		identities = append(identities, pki.Identity{
			File: "kubelet-" + node.Name, User: "system:node:" + node.Name, Groups: []string{"system:nodes"},
			Hosts: []string{node.Name, layout.NodeAddress(i)},
		})
	}
	for _, identity := range identities {
		if err := authority.IssueKubeconfig(identity, layout.APIServerURL()); err != nil {
			return err
		}
	}
	return pki.WriteKubeconfig(state.Kubeconfig(), state.PKI(""), "admin", layout.APIServerURL())
}
