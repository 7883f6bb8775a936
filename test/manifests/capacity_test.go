package manifests

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// For a stock scheduler four things must agree: CSIDriver says that capacity is published; csi-provisioner publishes
// it; it knows the namespace and the pod from which it finds the owner; and it may.
func TestCapacityIsPublished(t *testing.T) {
	publishers, roles := 0, 0
	for path, list := range objects(t) {
		for _, driver := range only[*storagev1.CSIDriver](list) {
			if driver.Spec.StorageCapacity == nil || !*driver.Spec.StorageCapacity {
				t.Errorf("%s: storageCapacity is not true", path)
			}
		}
		for _, deployment := range only[*appsv1.Deployment](list) {
			for _, container := range deployment.Spec.Template.Spec.Containers {
				if container.Name == "csi-provisioner" {
					testPublisher(t, container)
					publishers++
				}
			}
		}
		for _, role := range only[*rbacv1.Role](list) {
			if role.Name == "berth-controller" {
				testPublisherRole(t, role)
				roles++
			}
		}
	}
	if publishers != 1 || roles != 1 {
		t.Errorf("%d csi-provisioners and %d roles, want one of each", publishers, roles)
	}
}

func testPublisher(t *testing.T, container corev1.Container) {
	// From the pod by the ReplicaSet to the Deployment: two steps.
	for _, want := range []string{"--enable-capacity", "--capacity-ownerref-level=2"} {
		if !slices.Contains(container.Args, want) {
			t.Errorf("csi-provisioner has no argument %s", want)
		}
	}
	fields := map[string]string{}
	for _, env := range container.Env {
		fields[env.Name] = env.ValueFrom.FieldRef.FieldPath
	}
	if fields["NAMESPACE"] != "metadata.namespace" || fields["POD_NAME"] != "metadata.name" {
		t.Errorf("csi-provisioner's environment is %v", fields)
	}
}

func testPublisherRole(t *testing.T, role *rbacv1.Role) {
	for resource, verbs := range map[string]string{
		"storage.k8s.io/csistoragecapacities": "get list watch create update delete",
		"/pods":                               "get",
		"apps/replicasets":                    "get",
	} {
		group, name, _ := strings.Cut(resource, "/")
		for _, verb := range strings.Fields(verbs) {
			if !slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool {
				return slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, name) && slices.Contains(rule.Verbs, verb)
			}) {
				t.Errorf("csi-provisioner may not %s %s", verb, resource)
			}
		}
	}
}
