package volumebinding

import (
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	intree "k8s.io/kubernetes/pkg/scheduler/framework/plugins/volumebinding"
	"k8s.io/utils/ptr"
)

// decode reads a KubeSchedulerConfiguration as kube-scheduler does and returns its first profile.
func decode(content []byte) (*schedconfig.KubeSchedulerProfile, error) {
	object, _, err := scheme.Codecs.UniversalDecoder().Decode(content, nil, nil)
	if err != nil {
		return nil, err
	}
	return &object.(*schedconfig.KubeSchedulerConfiguration).Profiles[0], nil
}

func argsOf(t *testing.T, profile *schedconfig.KubeSchedulerProfile) *schedconfig.VolumeBindingArgs {
	t.Helper()
	for _, plugin := range profile.PluginConfig {
		if plugin.Name == Name {
			args, err := plugin.Args.(*BerthVolumeBindingArgs).inTree()
			if err != nil {
				t.Fatal(err)
			}
			return args
		}
	}
	t.Fatal("no args for the plugin")
	return nil
}

const head = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- plugins: {multiPoint: {disabled: [{name: VolumeBinding}], enabled: [{name: BerthVolumeBinding}]}}
`

// The arguments and their defaults are VolumeBinding's.
func TestArgs(t *testing.T) {
	for _, test := range []struct {
		name, content string
		wantTimeout   int64
		wantShape     []schedconfig.UtilizationShapePoint
	}{
		{"no pluginConfig", "", 600, []schedconfig.UtilizationShapePoint{{Utilization: 0, Score: 10}, {Utilization: 100, Score: 0}}},
		{
			"given", "  pluginConfig: [{name: BerthVolumeBinding, args: {bindTimeoutSeconds: 0, shape: [{utilization: 7, score: 1}]}}]\n", 0,
			[]schedconfig.UtilizationShapePoint{{Utilization: 7, Score: 1}},
		},
	} {
		profile, err := decode([]byte(head + test.content))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		args := argsOf(t, profile)
		if args.BindTimeoutSeconds != test.wantTimeout || !slices.Equal(args.Shape, test.wantShape) {
			t.Errorf("%s: %+v, want %d s and %v", test.name, args, test.wantTimeout, test.wantShape)
		}
	}
}

func TestArgsAreDecodedStrictly(t *testing.T) {
	_, err := decode([]byte(head + "  pluginConfig: [{name: BerthVolumeBinding, args: {bindTimeout: 1}}]\n"))
	if err == nil || !strings.Contains(err.Error(), `unknown field "bindTimeout"`) {
		t.Errorf("misspelt argument: %v", err)
	}
}

func TestNewRefusesOtherArgs(t *testing.T) {
	negative := defaultArgs()
	negative.BindTimeoutSeconds = ptr.To[int64](-1)
	for name, args := range map[string]runtime.Object{
		"another type": &schedconfig.VolumeBindingArgs{}, "out of range": negative,
	} {
		if _, err := New(t.Context(), args, newHandle()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDeepCopyIsDeep(t *testing.T) {
	args := defaultArgs()
	args.DeepCopyObject().(*BerthVolumeBindingArgs).Shape[0].Score = 3
	if args.Shape[0].Score == 3 {
		t.Error("the copy shares its shape")
	}
}

// The shipped profile has this plugin where the in-tree one was.
func TestShippedConfiguration(t *testing.T) {
	content, err := os.ReadFile("../../../manifests/scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	profile, err := decode(content)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, plugin := range profile.Plugins.MultiPoint.Enabled {
		names[plugin.Name] = true
	}
	if !names[Name] || names[intree.Name] {
		t.Errorf("enabled are %v, want %s and not %s", names, Name, intree.Name)
	}
	if args := argsOf(t, profile); args.BindTimeoutSeconds != 600 {
		t.Errorf("bindTimeoutSeconds %d, want 600", args.BindTimeoutSeconds)
	}
}

// What the scheduler asks of the plugin beside its extension points: the name it was registered under, a signature (or
// no pods of the profile are batched), and the in-tree events.
func TestPlugin(t *testing.T) {
	made, err := New(t.Context(), defaultArgs(), newHandle())
	if err != nil {
		t.Fatal(err)
	}
	plugin := made.(*VolumeBinding)
	if plugin.Name() != Name {
		t.Errorf("name %s", plugin.Name())
	}
	fragments, status := plugin.SignPod(t.Context(), podWith("a"))
	if !status.IsSuccess() || len(fragments) != 1 || fragments[0].Key != fwk.VolumesSignerName {
		t.Errorf("signature %v, %v", fragments, status)
	}
	events, err := plugin.EventsToRegister(t.Context())
	if err != nil || !slices.ContainsFunc(events, func(e fwk.ClusterEventWithHint) bool {
		return e.Event.Resource == fwk.PersistentVolumeClaim && e.QueueingHintFn != nil
	}) {
		t.Errorf("events %v, %v", events, err)
	}
}
