// Package client speaks to the API server about Berth's objects: a typed client, informers and listers.
//
// It is written by hand over client-go's generic client because two cluster-scoped resources do not need a
// generated tree. Package fake beside it is the same in memory, for tests.
package client

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// Resource is what can be asked of one of Berth's resources. Errors are those of k8s.io/apimachinery/pkg/api/errors.
// Safe for concurrent use.
type Resource[T, L any] interface {
	Create(ctx context.Context, object T, options metav1.CreateOptions) (T, error)
	// Update writes all but the status, UpdateStatus the status only; both conflict when the object's
	// resourceVersion is set and old.
	Update(ctx context.Context, object T, options metav1.UpdateOptions) (T, error)
	UpdateStatus(ctx context.Context, object T, options metav1.UpdateOptions) (T, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
	Patch(ctx context.Context, name string, patchType types.PatchType, data []byte, options metav1.PatchOptions, subresources ...string) (T, error)
}

// NodeStorages is the resource of NodeStorage objects.
type NodeStorages = Resource[*v1alpha1.NodeStorage, *v1alpha1.NodeStorageList]

// LogicalVolumes is the resource of LogicalVolume objects.
type LogicalVolumes = Resource[*v1alpha1.LogicalVolume, *v1alpha1.LogicalVolumeList]

// Interface is a client of both resources.
type Interface interface {
	NodeStorages() NodeStorages
	LogicalVolumes() LogicalVolumes
}

// Scheme holds Berth's types and those of requests and errors about them.
var Scheme = newScheme()

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(fmt.Sprintf("berth.dev/v1alpha1 does not form a scheme: %v", err))
	}
	// Status, DeleteOptions and their like are decoded as core v1.
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return scheme
}

// Client speaks to a real API server. It implements Interface.
type Client struct {
	nodeStorages   NodeStorages
	logicalVolumes LogicalVolumes
}

var _ Interface = &Client{}

// New makes a client. It does not connect.
// Errors: those of an incomplete or contradictory configuration.
func New(config *rest.Config) (*Client, error) {
	own := rest.CopyConfig(config)
	own.GroupVersion = &v1alpha1.SchemeGroupVersion
	own.APIPath = "/apis"
	// Custom resources are not served as protobuf, whatever the caller's configuration prefers for built-in ones.
	own.ContentType = runtime.ContentTypeJSON
	own.AcceptContentTypes = runtime.ContentTypeJSON
	own.NegotiatedSerializer = serializer.NewCodecFactory(Scheme).WithoutConversion()
	rc, err := rest.RESTClientFor(own)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", v1alpha1.SchemeGroupVersion, err)
	}
	codec := runtime.NewParameterCodec(Scheme)
	return &Client{
		nodeStorages: gentype.NewClientWithList(v1alpha1.NodeStoragesResource.Resource, rc, codec, "",
			func() *v1alpha1.NodeStorage { return &v1alpha1.NodeStorage{} },
			func() *v1alpha1.NodeStorageList { return &v1alpha1.NodeStorageList{} }),
		logicalVolumes: gentype.NewClientWithList(v1alpha1.LogicalVolumesResource.Resource, rc, codec, "",
			func() *v1alpha1.LogicalVolume { return &v1alpha1.LogicalVolume{} },
			func() *v1alpha1.LogicalVolumeList { return &v1alpha1.LogicalVolumeList{} }),
	}, nil
}

// NodeStorages returns the client of NodeStorage objects.
func (c *Client) NodeStorages() NodeStorages { return c.nodeStorages }

// LogicalVolumes returns the client of LogicalVolume objects.
func (c *Client) LogicalVolumes() LogicalVolumes { return c.logicalVolumes }
