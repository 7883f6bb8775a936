package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/berth-dev/berth/test/lab/layout"
)

// HTTPClient returns a client of the API server with the administrator's certificate, usable from anywhere on the
// host.
func (c *Cluster) HTTPClient() (*http.Client, error) {
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
	return &http.Client{Transport: &http.Transport{
		DialContext:     c.Dial,
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
	}}, nil
}

// get fills value from a path of the API server.
func get(ctx context.Context, client *http.Client, path string, value any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, layout.APIServerURL()+path, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return fmt.Errorf("GET %s: %s: %s", path, response.Status, text)
	}
	return json.NewDecoder(response.Body).Decode(value)
}

// node is the little that the lab reads of a Node.
type node struct {
	Metadata struct{ Name string }
	Status   struct {
		NodeInfo   struct{ BootID string }
		Conditions []struct {
			Type   string
			Status string
		}
	}
}

func (n node) ready() bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True"
		}
	}
	return false
}

func readNode(ctx context.Context, client *http.Client, name string) (node, error) {
	var n node
	return n, get(ctx, client, "/api/v1/nodes/"+name, &n)
}

// readyNodes returns the names of the nodes that are Ready.
func readyNodes(ctx context.Context, client *http.Client) (map[string]bool, error) {
	var list struct{ Items []node }
	if err := get(ctx, client, "/api/v1/nodes", &list); err != nil {
		return nil, err
	}
	ready := map[string]bool{}
	for _, n := range list.Items {
		ready[n.Metadata.Name] = n.ready()
	}
	return ready, nil
}
