package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-dev/berth/test/lab/layout"
)

// Components of the control plane, in the order of their start.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

// controlPlane is etcd and the programs around it.
type controlPlane struct {
	state    layout.State
	config   layout.Config
	services map[string]*service
}

// order is the order of starting; stopping goes the other way.
var order = []string{Etcd, APIServer, ControllerManager, Scheduler}

func newControlPlane(state layout.State, config layout.Config) *controlPlane {
	c := &controlPlane{state: state, config: config, services: map[string]*service{}}
	args := map[string][]string{
		Etcd:              c.etcdArgs(),
		APIServer:         c.apiServerArgs(),
		ControllerManager: c.controllerManagerArgs(),
		Scheduler:         c.schedulerArgs(),
	}
	for name, list := range args {
		c.services[name] = &service{patience: patience, command: command{
			name: name, path: config.Program(name), args: list, dir: state.Dir(), log: state.Logs(name),
		}}
	}
	c.services[Etcd].patience = etcdPatience
	return c
}

const (
	// patience is short: the API server waits for its watchers before it ends, and nothing but etcd has state to lose.
	patience     = 500 * time.Millisecond
	etcdPatience = 10 * time.Second
)

const etcdURL = "http://127.0.0.1:2379"

// etcdArgs trade durability against a host crash, after which nothing of the cluster is left anyway, for speed.
func (c *controlPlane) etcdArgs() []string {
	return []string{
		"--name=lab", "--data-dir=" + c.state.Etcd(),
		"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=lab=http://127.0.0.1:2380",
		"--unsafe-no-fsync", "--log-level=warn",
	}
}

func (c *controlPlane) apiServerArgs() []string {
	pki, seconds := c.state.PKI, int(c.config.EvictionDelay.Seconds())
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=0.0.0.0", fmt.Sprintf("--secure-port=%d", layout.APIServerPort),
		"--advertise-address=" + layout.ControlPlaneAddress,
		"--service-cluster-ip-range=" + layout.ServiceRange,
		"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki("service-account.pub"),
		"--service-account-signing-key-file=" + pki("service-account.key"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"),
		"--kubelet-client-key=" + pki("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		fmt.Sprintf("--default-not-ready-toleration-seconds=%d", seconds),
		fmt.Sprintf("--default-unreachable-toleration-seconds=%d", seconds),
		c.verbosity(),
	}
}

// controllerManagerArgs leave leader election out: there is one of each, and a lease costs seconds at a restart.
func (c *controlPlane) controllerManagerArgs() []string {
	pki := c.state.PKI
	kubeconfig := pki("controller-manager.kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + pki("service-account.key"),
		"--root-ca-file=" + pki("ca.crt"),
		"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
		"--cluster-cidr=" + layout.PodRange, "--allocate-node-cidrs=false",
		"--node-monitor-period=2s", "--node-monitor-grace-period=" + c.config.NodeMonitorGrace.String(),
		c.verbosity(),
	}
}

func (c *controlPlane) schedulerArgs() []string {
	kubeconfig := c.state.PKI("scheduler.kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1", "--leader-elect=false",
		c.verbosity(),
	}
}

func (c *controlPlane) verbosity() string { return fmt.Sprintf("--v=%d", c.config.LogVerbosity) }

// start returns when the API server is ready.
func (c *controlPlane) start(ctx context.Context) error {
	for _, name := range order[:2] {
		if err := c.services[name].start(); err != nil {
			return err
		}
	}
	if err := c.waitReady(ctx); err != nil {
		return err
	}
	for _, name := range order[2:] {
		if err := c.services[name].start(); err != nil {
			return err
		}
	}
	return nil
}

func (c *controlPlane) stop() {
	for i := len(order) - 1; i >= 0; i-- {
		c.services[order[i]].stop()
	}
}

// stopOne stops one component.
func (c *controlPlane) stopOne(name string) error {
	s, ok := c.services[name]
	if !ok {
		return fmt.Errorf("no component is called %q", name)
	}
	s.stop()
	return nil
}

// startOne starts one component; for the API server it waits until that is ready.
func (c *controlPlane) startOne(ctx context.Context, name string) error {
	s, ok := c.services[name]
	if !ok {
		return fmt.Errorf("no component is called %q", name)
	}
	if err := s.start(); err != nil || name != APIServer {
		return err
	}
	return c.waitReady(ctx)
}

// readyLimit is generous: other clusters may be using the processors.
const readyLimit = 3 * time.Minute

func (c *controlPlane) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	for !ready(ctx, client) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready after %s; see its log", readyLimit)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func ready(ctx context.Context, client *http.Client) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, layout.APIServerURL()+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func (c *controlPlane) client() (*http.Client, error) {
	authority, err := os.ReadFile(c.state.PKI("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	cert, err := tls.LoadX509KeyPair(c.state.PKI("admin.crt"), c.state.PKI("admin.key"))
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}},
	}, nil
}

// snapshot copies etcd's data while the control plane is stopped, and starts it again.
func (c *controlPlane) snapshot(ctx context.Context, name string) error {
	c.stop()
	target := c.state.EtcdSnapshot(name)
	if err := replaceTree(target, c.state.Etcd()); err != nil {
		return errors.Join(err, c.start(ctx))
	}
	return c.start(ctx)
}

// restore puts a copy back. The API server's watchers see older resource versions than before, as after a real
// restore from a backup.
func (c *controlPlane) restore(ctx context.Context, name string) error {
	source := c.state.EtcdSnapshot(name)
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("no snapshot %q: %w", name, err)
	}
	c.stop()
	if err := replaceTree(c.state.Etcd(), source); err != nil {
		return errors.Join(err, c.start(ctx))
	}
	return c.start(ctx)
}

func replaceTree(target, source string) error {
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	return os.CopyFS(target, os.DirFS(source))
}
