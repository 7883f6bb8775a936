package agent

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"k8s.io/utils/exec"
	exectesting "k8s.io/utils/exec/testing"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
)

func TestErase(t *testing.T) {
	for _, test := range []struct {
		mode v1alpha1.EraseMode
		want byte
	}{
		{v1alpha1.EraseNone, 'x'},
		// A regular file discards nothing; neither must a device.
		{v1alpha1.EraseDiscard, 'x'},
		{v1alpha1.EraseZero, 0},
	} {
		t.Run(string(test.mode), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "device")
			const size, rest = 5<<20 + 512, 512
			if err := os.WriteFile(path, bytes.Repeat([]byte{'x'}, size+rest), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := (DeviceEraser{}).Erase(t.Context(), path, test.mode, size); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(data[:size], []byte{test.want}); n != size {
				t.Errorf("%d of %d bytes are %q", n, size, test.want)
			}
			if n := bytes.Count(data[size:], []byte{'x'}); n != rest {
				t.Errorf("%d of the %d bytes behind are left", n, rest)
			}
		})
	}
}

func TestEraseStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (DeviceEraser{}).Erase(ctx, path, v1alpha1.EraseZero, 1); err == nil {
		t.Error("it goes on after its context ended")
	}
}

func TestFormat(t *testing.T) {
	for _, test := range []struct {
		fsType  string
		options []string
		wipe    bool
		want    [][]string
	}{
		{"ext4", nil, false, [][]string{{"mkfs.ext4", "-q", "-F", "-m0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", "/dev/d"}}},
		{"xfs", []string{"-m", "reflink=0"}, false, [][]string{{"mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=0", "/dev/d"}}},
		{"ext4", []string{"-E", "stride=16", "-m", "1"}, false, [][]string{{
			"mkfs.ext4", "-q", "-F", "-m0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1,stride=16", "-m", "1", "/dev/d",
		}}},
		{"btrfs", nil, true, [][]string{{"wipefs", "--all", "--quiet", "/dev/d"}, {"mkfs.btrfs", "-q", "-f", "-K", "/dev/d"}}},
	} {
		t.Run(test.fsType, func(t *testing.T) {
			var ran [][]string
			fake := &exectesting.FakeExec{}
			for range test.want {
				fake.CommandScript = append(fake.CommandScript, func(command string, arguments ...string) exec.Cmd {
					ran = append(ran, append([]string{command}, arguments...))
					return exectesting.InitFakeCmd(&exectesting.FakeCmd{CombinedOutputScript: []exectesting.FakeAction{
						func() ([]byte, []byte, error) { return nil, nil, nil },
					}}, command, arguments...)
				})
			}
			if err := (MkfsFormatter{fake}).Format(t.Context(), "/dev/d", test.fsType, test.options, test.wipe); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(ran, test.want) {
				t.Errorf("ran %q, want %q", ran, test.want)
			}
		})
	}
	if err := (MkfsFormatter{&exectesting.FakeExec{}}).Format(t.Context(), "/dev/d", "ntfs", nil, false); err == nil || !strings.Contains(err.Error(), `"ntfs"`) {
		t.Errorf("ntfs: %v, want a refusal that names it", err)
	}
}

func TestLockNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lock")
	release, err := LockNode(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockNode(path); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("a second lock: %v", err)
	}
	release()
	release, err = LockNode(path)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	release()
}

func TestRegistration(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "reg.sock")
	// What an earlier process left behind.
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- (&Registration{Socket: socket, Endpoint: "/var/lib/kubelet/plugins/x/csi.sock"}).Serve(ctx)
	}()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	kubelet := registration.NewRegistrationClient(connection)
	deadline, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	info, err := kubelet.GetInfo(deadline, &registration.InfoRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if info.Type != registration.CSIPlugin || info.Name != "lvm.berth.dev" || info.Endpoint != "/var/lib/kubelet/plugins/x/csi.sock" {
		t.Errorf("info: %+v", info)
	}
	for _, registered := range []bool{true, false} {
		if _, err := kubelet.NotifyRegistrationStatus(deadline, &registration.RegistrationStatus{PluginRegistered: registered, Error: "no"}); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}
