package main

const namespace = "demo"

const statefulSetYAML = `
apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  namespace: demo
spec:
  serviceName: db
  replicas: 6
  podManagementPolicy: Parallel
  selector:
    matchLabels: {app: db}
  template:
    metadata:
      labels: {app: db}
    spec:
      schedulerName: berth-scheduler
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: registry.k8s.io/e2e-test-images/busybox:1.37.0-2
        command: ["sleep", "1000000"]
        volumeMounts:
        - {name: data, mountPath: /data}
  volumeClaimTemplates:
  - metadata:
      name: data
    spec:
      storageClassName: berth
      accessModes: ["ReadWriteOnce"]
      resources:
        requests: {storage: 2Gi}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Retain}
`

const rawBlockYAML = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: raw
  namespace: demo
spec:
  storageClassName: berth
  volumeMode: Block
  accessModes: ["ReadWriteOnce"]
  resources:
    requests: {storage: 256Mi}
---
apiVersion: v1
kind: Pod
metadata:
  name: raw
  namespace: demo
spec:
  schedulerName: berth-scheduler
  terminationGracePeriodSeconds: 1
  containers:
  - name: raw
    image: registry.k8s.io/e2e-test-images/busybox:1.37.0-2
    command: ["sleep", "1000000"]
    volumeDevices:
    - {name: disk, devicePath: /dev/disk}
  volumes:
  - name: disk
    persistentVolumeClaim: {claimName: raw}
`

const tooLargeYAML = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: huge
  namespace: demo
spec:
  storageClassName: berth
  accessModes: ["ReadWriteOnce"]
  resources:
    requests: {storage: 40Gi}
---
apiVersion: v1
kind: Pod
metadata:
  name: huge
  namespace: demo
spec:
  schedulerName: berth-scheduler
  containers:
  - name: huge
    image: registry.k8s.io/e2e-test-images/busybox:1.37.0-2
    command: ["sleep", "1000000"]
    volumeMounts:
    - {name: data, mountPath: /data}
  volumes:
  - name: data
    persistentVolumeClaim: {claimName: huge}
`

const thinYAML = `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: berth-thin
provisioner: lvm.berth.dev
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
parameters:
  deviceClass: thin
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata:
  name: berth
driver: lvm.berth.dev
deletionPolicy: Delete
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: notes
  namespace: demo
spec:
  storageClassName: berth-thin
  accessModes: ["ReadWriteOnce"]
  resources:
    requests: {storage: 1Gi}
---
apiVersion: v1
kind: Pod
metadata:
  name: notes
  namespace: demo
spec:
  schedulerName: berth-scheduler
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: registry.k8s.io/e2e-test-images/busybox:1.37.0-2
    command: ["sleep", "1000000"]
    volumeMounts:
    - {name: data, mountPath: /data}
  volumes:
  - name: data
    persistentVolumeClaim: {claimName: notes}
`

const snapshotYAML = `
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata:
  name: notes
  namespace: demo
spec:
  volumeSnapshotClassName: berth
  source: {persistentVolumeClaimName: notes}
`

const restoredYAML = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: restored
  namespace: demo
spec:
  storageClassName: berth-thin
  accessModes: ["ReadWriteOnce"]
  dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: notes}
  resources:
    requests: {storage: 2Gi}
---
apiVersion: v1
kind: Pod
metadata:
  name: restored
  namespace: demo
spec:
  schedulerName: berth-scheduler
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: registry.k8s.io/e2e-test-images/busybox:1.37.0-2
    command: ["sleep", "1000000"]
    volumeMounts:
    - {name: data, mountPath: /data}
  volumes:
  - name: data
    persistentVolumeClaim: {claimName: restored}
`
