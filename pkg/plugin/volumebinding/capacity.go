package volumebinding

import (
	"errors"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/storage"
	storageinformers "k8s.io/client-go/informers/storage/v1"
	"k8s.io/client-go/kubernetes"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/ptr"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

// driverNameLabel is how csi-provisioner marks the CSIStorageCapacity objects that it makes.
const driverNameLabel = "csi.storage.k8s.io/drivername"

// oursLeftOut is an index without entries: the mark of an informer that leaves ours out.
const oursLeftOut = "berth.dev/ours-left-out"

// leaveOutCapacities makes the process's one informer of CSIStorageCapacity objects ask the API server for those of
// other drivers only. A shared factory keeps the first informer that it is asked to make of a type, and the scheduler
// asks for this one when it registers its event handlers, after the plugins are made: so neither its cache nor its
// queue ever sees ours.
// Errors: somebody was here before.
func leaveOutCapacities(factory informers.SharedInformerFactory) error {
	informer := factory.InformerFor(&storagev1.CSIStorageCapacity{}, func(client kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
		indexers := cache.Indexers{
			cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
			oursLeftOut:          func(any) ([]string, error) { return nil, nil },
		}
		return storageinformers.NewFilteredCSIStorageCapacityInformer(client, metav1.NamespaceAll, resync, indexers, func(options *metav1.ListOptions) {
			options.LabelSelector = driverNameLabel + "!=" + v1alpha1.DriverName
		})
	})
	if _, ok := informer.GetIndexer().GetIndexers()[oursLeftOut]; !ok {
		return errors.New(Name + ": the CSIStorageCapacity informer is in use already; disable the plugin VolumeBinding in every profile")
	}
	return nil
}

// view is the handle that the in-tree plugin is made with. It differs in one answer, four calls deep.
type view struct{ fwk.Handle }

// SharedInformerFactory returns the shared factory with our answer.
func (v view) SharedInformerFactory() informers.SharedInformerFactory {
	return factory{v.Handle.SharedInformerFactory()}
}

type factory struct {
	informers.SharedInformerFactory
}

func (f factory) Storage() storage.Interface { return storageGroup{f.SharedInformerFactory.Storage()} }

type storageGroup struct{ storage.Interface }

func (g storageGroup) V1() storageinformers.Interface { return storageV1{g.Interface.V1()} }

type storageV1 struct{ storageinformers.Interface }

func (s storageV1) CSIDrivers() storageinformers.TypedCSIDriverInformer {
	return driverInformer{s.Interface.CSIDrivers()}
}

type driverInformer struct {
	storageinformers.TypedCSIDriverInformer
}

func (i driverInformer) Lister() storagelisters.CSIDriverLister {
	return driverLister{i.TypedCSIDriverInformer.Lister()}
}

// driverLister answers for our driver that there is no capacity to be checked. VolumeBinding asks for one driver by
// name, per node and claim, and reads nothing else of it.
type driverLister struct{ storagelisters.CSIDriverLister }

var ourDriver = &storagev1.CSIDriver{
	ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DriverName},
	Spec:       storagev1.CSIDriverSpec{StorageCapacity: ptr.To(false)},
}

func (l driverLister) Get(name string) (*storagev1.CSIDriver, error) {
	if name == v1alpha1.DriverName {
		return ourDriver, nil
	}
	return l.CSIDriverLister.Get(name)
}
