package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestIssuedIdentities(t *testing.T) {
	dir := t.TempDir()
	authority, err := NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(readCertificate(t, filepath.Join(dir, "ca.crt")))
	cases := map[string]struct {
		identity Identity
		usage    x509.ExtKeyUsage
		host     string
		refused  bool
	}{
		"kubelet serves its address": {
			identity: Identity{File: "kubelet", User: "system:node:n1", Groups: []string{"system:nodes"}, Hosts: []string{"n1", "192.0.2.1"}},
			usage:    x509.ExtKeyUsageServerAuth, host: "192.0.2.1",
		},
		"kubelet is a client": {
			identity: Identity{File: "kubelet2", User: "system:node:n1", Groups: []string{"system:nodes"}, Hosts: []string{"n1"}},
			usage:    x509.ExtKeyUsageClientAuth,
		},
		"a client does not serve": {
			identity: Identity{File: "admin", User: "admin", Groups: []string{"system:masters"}},
			usage:    x509.ExtKeyUsageServerAuth, refused: true,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if err := authority.Issue(c.identity); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, c.identity.File)
			if _, err := tls.LoadX509KeyPair(path+".crt", path+".key"); err != nil {
				t.Fatal(err)
			}
			cert := readCertificate(t, path+".crt")
			_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: c.host, KeyUsages: []x509.ExtKeyUsage{c.usage}})
			if (err != nil) != c.refused {
				t.Errorf("verify: %v, want refused %v", err, c.refused)
			}
			if cert.Subject.CommonName != c.identity.User || !slices.Equal(cert.Subject.Organization, c.identity.Groups) {
				t.Errorf("subject %v", cert.Subject)
			}
		})
	}
}

func TestKubeconfigStandsAlone(t *testing.T) {
	dir := t.TempDir()
	authority, err := NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := authority.IssueKubeconfig(Identity{File: "admin", User: "admin"}, "https://192.0.2.1:443"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	if config.Clusters[0].Cluster.Server != "https://192.0.2.1:443" || !x509.NewCertPool().AppendCertsFromPEM(config.Clusters[0].Cluster.CA) {
		t.Errorf("cluster %+v", config.Clusters[0].Cluster)
	}
	if _, err := tls.X509KeyPair(config.Users[0].User.Cert, config.Users[0].User.Key); err != nil {
		t.Errorf("user's certificate: %v", err)
	}
}
