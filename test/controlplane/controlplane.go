// Package controlplane runs etcd and kube-apiserver, and schedulers on them, as processes of this machine on its loopback
// device: for tests and benchmarks that need a real API server and no nodes.
//
// Every program is killed when the one that started it ends, whatever ends it.
package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// token is the way in; the API server is there only for as long as the test runs.
const token = "controlplane"

// ControlPlane is etcd and an API server.
type ControlPlane struct {
	// Config is the administrator's way in.
	Config *rest.Config

	dir       string
	processes []*Process
}

// DataDir is the directory below a control plane's own that holds etcd's data.
const DataDir = "etcd"

// Start starts etcd and kube-apiserver, given by their paths, and waits until they are ready. Data, keys and logs are
// in dir; with the data of an earlier control plane there, the new one goes on from it.
// Errors: a program that cannot be started, ends, or is not ready in time; the end of its log is part of the error.
func Start(ctx context.Context, dir string, programs map[string]string) (*ControlPlane, error) {
	c := &ControlPlane{dir: dir}
	if err := c.start(ctx, programs); err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Logs())
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context, programs map[string]string) error {
	ports, err := FreePorts(3)
	if err != nil {
		return err
	}
	etcdURL, peerURL := loopback("http", ports[0]), loopback("http", ports[1])
	if err := c.run("etcd", programs["etcd"], "--data-dir="+filepath.Join(c.dir, DataDir), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+peerURL, "--initial-advertise-peer-urls="+peerURL, "--initial-cluster=default="+peerURL); err != nil {
		return err
	}
	key, tokens := filepath.Join(c.dir, "service-accounts.key"), filepath.Join(c.dir, "tokens.csv")
	if err := writeKey(key); err != nil {
		return err
	}
	if err := os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	if err := c.run("kube-apiserver", programs["kube-apiserver"], "--etcd-servers="+etcdURL, "--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[2]), "--cert-dir="+filepath.Join(c.dir, "certificates"),
		"--token-auth-file="+tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key,
		"--service-account-signing-key-file="+key,
		// Without a controller-manager nobody makes service accounts, lifts finalizers or removes a node's first taint.
		"--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection,TaintNodesByCondition"); err != nil {
		return err
	}
	c.Config = &rest.Config{
		Host: loopback("https", ports[2]), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	}
	return c.awaitReady(ctx)
}

func (c *ControlPlane) run(name, program string, args ...string) error {
	process, err := Run(c.dir, name, program, args...)
	if err == nil {
		c.processes = append(c.processes, process)
	}
	return err
}

func (c *ControlPlane) awaitReady(ctx context.Context) error {
	kube, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	return c.processes[1].await(ctx, time.Minute, "ready", func(ctx context.Context) error {
		if _, err := kube.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
			return err
		}
		_, err := kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		return err
	})
}

// Stop kills the API server and etcd. It may be called more than once.
func (c *ControlPlane) Stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Kill()
	}
}

// Logs is the end of what the programs wrote.
func (c *ControlPlane) Logs() string {
	var text string
	for _, process := range c.processes {
		text += process.Tail()
	}
	return text
}

// WriteKubeconfig writes the administrator's way in as a file and returns its path.
func (c *ControlPlane) WriteKubeconfig() (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: c.Config.Host, InsecureSkipTLSVerify: true}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	path := filepath.Join(c.dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

func loopback(scheme string, port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }

// FreePorts finds ports of the loopback device that nobody uses.
func FreePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Open until all are found, or the same might be found twice.
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// writeKey makes a private key in PEM.
func writeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
