package agent

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/berth-dev/berth/pkg/api/v1alpha1"
	"github.com/berth-dev/berth/pkg/lvm/lvmfake"
)

// clearAndEncrypted is oneClass with an encrypted class beside it.
const clearAndEncrypted = oneClass + "- {name: secret, volumeGroup: vg0, encryption: luks2}\n"

func encryptedOrder(name, fsType string) *v1alpha1.LogicalVolume {
	return order(name, func(lv *v1alpha1.LogicalVolume) {
		lv.Spec.DeviceClass, lv.Spec.Encryption, lv.Spec.FSType = "secret", v1alpha1.EncryptionLUKS2, fsType
		if fsType == "" {
			lv.Spec.Erase = v1alpha1.EraseZero
		}
	})
}

// An encrypted volume is made empty, and gets its content once, when the node service has opened it.
func TestEncrypted(t *testing.T) {
	for name, test := range map[string]struct {
		fsType               string
		wantFormats, wantLen int
	}{
		"file system": {"xfs", 1, 0},
		"block":       {"", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.writeConfig(clearAndEncrypted)
				r.start()
				r.create(encryptedOrder("v", test.fsType))
				r.wait(5 * time.Second)
				r.wantReady("v")
				if r.formatter.count("v") != 0 || len(r.eraser.bytes) != 0 {
					t.Errorf("made before there is a key: %d file systems, %v bytes of zeros", r.formatter.count("v"), r.eraser.bytes)
				}
				info, err := r.agent.Stageable(r.t.Context(), "v")
				if err != nil || !info.Encrypted || info.Formatted {
					t.Fatalf("info %+v, error %v", info, err)
				}
				const inside = gi - 16*mi
				if err := r.agent.FormatEncrypted(r.t.Context(), "v", "/dev/mapper/berth@v", inside); err != nil {
					t.Fatal(err)
				}
				if n := r.formatter.count("berth@v"); n != test.wantFormats || len(r.eraser.bytes) != test.wantLen {
					t.Errorf("%d file systems, %v bytes of zeros", n, r.eraser.bytes)
				}
				if test.fsType == "" && !slices.Equal(r.eraser.bytes, []int64{inside}) {
					t.Errorf("%v bytes of zeros, want %d", r.eraser.bytes, inside)
				}
				ran := r.executions(func() { err = r.agent.MarkFormatted(r.t.Context(), "v") })
				if err != nil || ran[lvmfake.Tag] != 1 || ran[lvmfake.Report] != 1 {
					t.Errorf("executions %v, error %v", ran, err)
				}
				ran = r.executions(func() { info, err = r.agent.Stageable(r.t.Context(), "v") })
				if err != nil || !info.Formatted || len(ran) != 0 {
					t.Errorf("info %+v, executions %v, error %v", info, ran, err)
				}
				if err := r.agent.FormatEncrypted(r.t.Context(), "v", "/dev/mapper/berth@v", inside); !errors.Is(err, ErrNotReady) {
					t.Errorf("once more: %v, want a refusal", err)
				}
				r.halt()
				r.start()
				if info, err := r.agent.Stageable(r.t.Context(), "v"); err != nil || !info.Formatted {
					t.Errorf("after a restart: info %+v, error %v", info, err)
				}
			})
		})
	}
}
