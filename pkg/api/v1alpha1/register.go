package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group.
const GroupName = "berth.dev"

// SchemeGroupVersion is the group and version of this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// Resources of this package, as they stand in URLs.
var (
	NodeStoragesResource   = SchemeGroupVersion.WithResource("nodestorages")
	LogicalVolumesResource = SchemeGroupVersion.WithResource("logicalvolumes")
)

// Kinds of this package, for owner and object references.
var (
	NodeStorageKind   = SchemeGroupVersion.WithKind("NodeStorage")
	LogicalVolumeKind = SchemeGroupVersion.WithKind("LogicalVolume")
)

var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme adds this package's types to a scheme.
var AddToScheme = schemeBuilder.AddToScheme

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&NodeStorage{}, &NodeStorageList{},
		&LogicalVolume{}, &LogicalVolumeList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
