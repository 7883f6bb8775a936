// Package pki makes a cluster's certificates, keys and kubeconfigs.
//
// Every program has an identity of its own, as in a real cluster: kubelets are system:node:NAME in the group
// system:nodes, so the Node authorizer and NodeRestriction see what they would see elsewhere.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity outlives any lab cluster.
const validity = 365 * 24 * time.Hour

// Authority signs certificates and writes them into a directory.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// Identity is what a certificate says about its holder.
type Identity struct {
	// File is the name of the files, without .crt and .key.
	File string
	// User is the common name, Groups the organizations.
	User   string
	Groups []string
	// Hosts are the names and addresses that the holder serves under; none for a mere client.
	Hosts []string
}

// NewAuthority makes a certificate authority and writes ca.crt and ca.key into dir.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "lab"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	a := &Authority{dir: dir}
	der, key, err := sign(template, nil, nil)
	if err != nil {
		return nil, err
	}
	a.key, a.pem = key, encode("CERTIFICATE", der)
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return a, a.write("ca", a.pem, key)
}

// Issue writes FILE.crt and FILE.key for the identity.
func (a *Authority) Issue(identity Identity) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: identity.User, Organization: identity.Groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range identity.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if len(identity.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, key, err := sign(template, a.cert, a.key)
	if err != nil {
		return fmt.Errorf("sign %s: %w", identity.File, err)
	}
	return a.write(identity.File, encode("CERTIFICATE", der), key)
}

// IssueKubeconfig writes FILE.kubeconfig beside the certificate of the identity.
func (a *Authority) IssueKubeconfig(identity Identity, server string) error {
	if err := a.Issue(identity); err != nil {
		return err
	}
	return WriteKubeconfig(filepath.Join(a.dir, identity.File+".kubeconfig"), a.dir, identity.File, server)
}

// WriteSigningKey writes NAME.key and NAME.pub, for service account tokens.
func (a *Authority) WriteSigningKey(name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := a.file(name+".pub", encode("PUBLIC KEY", public)); err != nil {
		return err
	}
	return a.file(name+".key", encode("EC PRIVATE KEY", private))
}

func (a *Authority) write(name string, cert []byte, key *ecdsa.PrivateKey) error {
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	if err := a.file(name+".crt", cert); err != nil {
		return err
	}
	return a.file(name+".key", encode("EC PRIVATE KEY", private))
}

func (a *Authority) file(name string, content []byte) error {
	return os.WriteFile(filepath.Join(a.dir, name), content, 0o600)
}

// sign completes the template and signs it: with a fresh key of its own when parent is nil.
func sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = serial
	// The clock of a node may be a little behind the host's.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(validity)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	return der, key, err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
