package csi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm"
)

func TestStatusError(t *testing.T) {
	resource := schema.GroupResource{Resource: "logicalvolumes"}
	wrapped := func(err error) error { return fmt.Errorf("create vg/lv: %w", err) }
	cases := map[string]struct {
		err  error
		want codes.Code
	}{
		"none":                    {nil, codes.OK},
		"no space":                {wrapped(lvm.ErrNoSpace), codes.ResourceExhausted},
		"unusable":                {wrapped(lvm.ErrUnusable), codes.ResourceExhausted},
		"busy":                    {wrapped(lvm.ErrBusy), codes.Aborted},
		"hung":                    {wrapped(lvm.ErrHung), codes.Aborted},
		"in use":                  {wrapped(lvm.ErrInUse), codes.FailedPrecondition},
		"foreign":                 {wrapped(lvm.ErrForeign), codes.AlreadyExists},
		"not found":               {wrapped(lvm.ErrNotFound), codes.NotFound},
		"parameter":               {wrapped(lvm.ErrUnknownParameter), codes.InvalidArgument},
		"size":                    {wrapped(lvm.ErrInvalidSize), codes.InvalidArgument},
		"deadline":                {wrapped(context.DeadlineExceeded), codes.DeadlineExceeded},
		"cancelled":               {wrapped(context.Canceled), codes.Canceled},
		"has a code":              {status.Error(codes.OutOfRange, "x"), codes.OutOfRange},
		"wrapped with a code":     {wrapped(status.Error(codes.OutOfRange, "x")), codes.OutOfRange},
		"changed":                 {wrapped(errChanged), codes.Aborted},
		"API away":                {apiError(&url.Error{Op: "Get", Err: errors.New("refused")}, "get"), codes.Unavailable},
		"API conflict":            {apiError(apierrors.NewConflict(resource, "a", errors.New("x")), "patch"), codes.Aborted},
		"API forbids":             {apiError(apierrors.NewForbidden(resource, "a", errors.New("x")), "create"), codes.Unavailable},
		"API refuses the object":  {apiError(apierrors.NewInvalid(schema.GroupKind{}, "a", nil), "create"), codes.InvalidArgument},
		"API deadline":            {apiError(context.DeadlineExceeded, "get"), codes.DeadlineExceeded},
		"the agent's API request": {wrapped(apierrors.NewServerTimeout(resource, "update", 1)), codes.Unavailable},
		"anything else":           {errors.New("x"), codes.Internal},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := status.Code(statusError(tc.err)); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestParseCode(t *testing.T) {
	for name, want := range map[string]codes.Code{
		"ResourceExhausted": codes.ResourceExhausted, "AlreadyExists": codes.AlreadyExists, "Unauthenticated": codes.Unauthenticated,
		"": codes.Aborted, "OK": codes.Aborted, "NewerThanThis": codes.Aborted,
	} {
		if got := parseCode(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// panicking is a node service whose calls panic or wait.
type panicking struct {
	csi.UnimplementedNodeServer
	entered chan struct{}
}

func (p *panicking) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	panic("out of order")
}

func (p *panicking) NodeGetCapabilities(ctx context.Context, _ *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	close(p.entered)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(quiet(t))
	defer cancel()
	socket := filepath.Join(t.TempDir(), "s")
	// A process that was killed leaves its socket.
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := NewMetrics(prometheus.NewRegistry())
	node := &panicking{entered: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, socket, Services{Node: node}, metrics) }()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := csi.NewNodeClient(conn)

	_, err = client.NodeGetInfo(ctx, &csi.NodeGetInfoRequest{}, grpc.WaitForReady(true))
	if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("a panic answers %v", err)
	}
	if n := testutil.ToFloat64(metrics.operations.WithLabelValues("NodeGetInfo", "Internal")); n != 1 {
		t.Errorf("%v calls counted, want 1", n)
	}

	waiting := make(chan error, 1)
	go func() {
		_, err := client.NodeGetCapabilities(context.Background(), &csi.NodeGetCapabilitiesRequest{})
		waiting <- err
	}()
	<-node.entered
	start := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := <-waiting; err == nil {
		t.Error("a call that never ends was answered")
	}
}

func TestServeRefusesEndpoints(t *testing.T) {
	for _, endpoint := range []string{"", "unix://", "tcp://localhost:1"} {
		if err := Serve(quiet(t), endpoint, Services{}, NewMetrics(prometheus.NewRegistry())); err == nil {
			t.Errorf("%q is served", endpoint)
		}
	}
}

func TestProbe(t *testing.T) {
	for _, ready := range []bool{true, false} {
		response, err := NewIdentity("v1", func() bool { return ready }).Probe(quiet(t), &csi.ProbeRequest{})
		if err != nil || response.GetReady().GetValue() != ready {
			t.Errorf("%v, error %v, want %v", response, err, ready)
		}
	}
}

// After a broken watch, the removal of a volume and the creation of another of the same name come as one update.
func TestFollowerSeesAReplacement(t *testing.T) {
	w := &volumeWatch{followers: map[string]map[*follower]struct{}{}}
	f := w.follow(testName)
	first := &v1alpha1.LogicalVolume{ObjectMeta: metav1.ObjectMeta{Name: testName, UID: "1", ResourceVersion: "10"}}
	second := &v1alpha1.LogicalVolume{ObjectMeta: metav1.ObjectMeta{Name: testName, UID: "2", ResourceVersion: "20"}}
	w.updated(first, second)
	<-f.changed
	if _, gone := f.last(first); !gone {
		t.Error("the first is not seen gone")
	}
	if lv, gone := f.last(second); gone || lv != second {
		t.Error("the second is not seen")
	}
	newer := second.DeepCopy()
	newer.ResourceVersion = "100"
	if lv, _ := f.last(newer); lv != newer {
		t.Error("the cache's older copy is preferred to the caller's")
	}
	f.stop()
	if len(w.followers) != 0 {
		t.Error("a stopped follower is kept")
	}
}
