package pki

import (
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

// WriteKubeconfig writes a kubeconfig whose user has the certificate NAME of dir. The certificates are embedded, so
// the file can be copied anywhere.
func WriteKubeconfig(path, dir, name, server string) error {
	read := func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, file)) }
	authority, err := read("ca.crt")
	if err != nil {
		return err
	}
	cert, err := read(name + ".crt")
	if err != nil {
		return err
	}
	key, err := read(name + ".key")
	if err != nil {
		return err
	}
	type object = map[string]any
	content, err := yaml.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "lab",
		"clusters": []object{{"name": "lab", "cluster": object{"server": server, "certificate-authority-data": authority}}},
		"users":    []object{{"name": name, "user": object{"client-certificate-data": cert, "client-key-data": key}}},
		"contexts": []object{{"name": "lab", "context": object{"cluster": "lab", "user": name}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}
