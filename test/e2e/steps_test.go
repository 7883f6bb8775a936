//go:build e2e

package e2e

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stopProgram stands before the programs that an agent runs; manifests/steps.yaml puts it on the agents' PATH.
//
//go:embed steps/stop.sh
var stopProgram string

// stoppable are the programs that it stands before.
const stoppable = "lvm mkfs.ext4 mkfs.xfs fsck mount resize2fs tune2fs cryptsetup"

// arm makes a node's agent stop before or after it runs a program whose name and arguments match a pattern of the shell's, once.
func arm(t *testing.T, node, when, pattern string) {
	t.Helper()
	onNode(t, node, fmt.Sprintf(`mkdir -p /run/berth-steps/bin && cd /run/berth-steps && rm -f armed reached
cat >bin/stop.new <<'END-OF-PROGRAM'
%sEND-OF-PROGRAM
chmod +x bin/stop.new && mv bin/stop.new bin/stop
for name in %s; do ln -sf stop bin/$name; done
cat >armed.new <<'END-OF-PATTERN'
%s %s
END-OF-PATTERN
mv armed.new armed`, stopProgram, stoppable, when, pattern))
	t.Cleanup(func() { disarm(t, node) })
}

// disarm lets the agent pass, if it has not been stopped yet.
func disarm(t *testing.T, node string) {
	if _, err := tryLab(context.Background(), "node", node, "--", "rm", "-f", "/run/berth-steps/armed"); err != nil {
		t.Error(err)
	}
}

// stopped waits until a node's agent stands where arm said.
func stopped(t *testing.T, node string) {
	t.Helper()
	eventually(t, time.Minute, func() string {
		const script = "for i in $(seq 100); do [ -e /run/berth-steps/reached ] && exit; sleep 0.1; done; exit 1"
		if _, err := tryLab(t.Context(), "node", node, "--", "sh", "-c", script); err != nil {
			return "the agent has not come to the step"
		}
		return ""
	})
}

// goOn ends what stands still after stopped: to the agent the program has failed.
func goOn(t *testing.T, node string) {
	t.Helper()
	if kill(t.Context(), node, `sleep\ 999999\ *`) != 1 {
		t.Fatalf("nothing stands still on %s", node)
	}
}

// killAgent ends a node's agent with SIGKILL and waits for the next one. Its pod goes, so that the kubelet does not make the
// next agent wait longer each time.
func killAgent(t *testing.T, node string) {
	t.Helper()
	killed := time.Now()
	if n := kill(t.Context(), node, `/usr/local/bin/driver\ node\ *`); n != 1 {
		t.Fatalf("%d agents were killed on %s", n, node)
	}
	lab(t, "kubectl", "delete", "pods", "-n", "berth-system", "-l", "app.kubernetes.io/component=node",
		"--field-selector", "spec.nodeName="+node, "--grace-period=0", "--force", "--wait=false")
	eventually(t, 2*time.Minute, func() string { return renewedSince(t, node, killed) })
}

// nothingHalf checks what must be true of a node whenever it has come to rest: no device is suspended, no LV is a helper of
// something unfinished, and each LV of Berth's has its object.
func nothingHalf(t *testing.T, node string) {
	t.Helper()
	const script = `dmsetup info --columns --noheadings --options name,suspended | grep -i ':suspended' | sed 's/^/suspended /'
lvs --noheadings -o lv_name --select 'lv_tags=berth.dev/grow||lv_tags=berth.dev/copy' ` + kindsGroups + ` | sed 's/^ */helper /'`
	eventually(t, 2*time.Minute, func() string { return onNode(t, node, script) })
	names := onNode(t, node, "lvs --noheadings -o lv_name --select 'lv_tags=berth.dev&&lv_layout!=pool' "+kindsGroups)
	for _, name := range strings.Fields(names) {
		if _, err := berth.LogicalVolumes().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("LV %s on %s has no object: %v", name, node, err)
		}
	}
}
