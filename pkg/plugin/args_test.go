package plugin

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
)

// decode reads a KubeSchedulerConfiguration as kube-scheduler does.
func decode(content []byte) (*schedconfig.KubeSchedulerConfiguration, error) {
	object, _, err := scheme.Codecs.UniversalDecoder().Decode(content, nil, nil)
	if err != nil {
		return nil, err
	}
	return object.(*schedconfig.KubeSchedulerConfiguration), nil
}

// argsOf finds the plugin's arguments in the first profile.
func argsOf(t *testing.T, config *schedconfig.KubeSchedulerConfiguration) *VolumeGroupCapacityArgs {
	t.Helper()
	for _, plugin := range config.Profiles[0].PluginConfig {
		if plugin.Name == Name {
			args, ok := plugin.Args.(*VolumeGroupCapacityArgs)
			if !ok {
				t.Fatalf("args are %T", plugin.Args)
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
- schedulerName: berth-scheduler
  plugins: {multiPoint: {enabled: [{name: VolumeGroupCapacity, weight: 1600}]}}
`

func TestArgsAreDefaulted(t *testing.T) {
	for name, content := range map[string]string{
		"no pluginConfig": head,
		"empty args":      head + "  pluginConfig: [{name: VolumeGroupCapacity, args: {}}]\n",
	} {
		config, err := decode([]byte(content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if args := argsOf(t, config); args.Strategy != MostFree || args.InFlight != Spread || args.StalenessSeconds != 180 {
			t.Errorf("%s: %+v", name, args)
		}
	}
}

func TestArgsAreDecodedStrictly(t *testing.T) {
	_, err := decode([]byte(head + "  pluginConfig: [{name: VolumeGroupCapacity, args: {stratgy: LeastFree}}]\n"))
	if err == nil || !strings.Contains(err.Error(), `unknown field "stratgy"`) {
		t.Errorf("misspelt argument: %v", err)
	}
}

func TestShippedConfiguration(t *testing.T) {
	content, err := os.ReadFile("../../manifests/scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := decode(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := argsOf(t, config).Validate(); err != nil {
		t.Error(err)
	}
	var ours, others int32
	for _, plugin := range config.Profiles[0].Plugins.MultiPoint.Enabled {
		if plugin.Name == Name {
			ours = plugin.Weight
		} else {
			// A scorer without a weight has 1; other plugins are counted for nothing worse.
			others += max(plugin.Weight, 0)
		}
	}
	// One point of ours must exceed 100 points of every other scorer; VolumeBinding's weight of 1 is not written.
	if ours <= 100*(others+1) {
		t.Errorf("weight %d does not outrank the others' %d × 100", ours, others+1)
	}
}

func TestArgsValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		args VolumeGroupCapacityArgs
		want string
	}{
		{"good", VolumeGroupCapacityArgs{Strategy: LeastFree, InFlight: Ignore, StalenessSeconds: 61, ClassWeights: map[string]int64{"ssd": 100}}, ""},
		{"strategy", VolumeGroupCapacityArgs{Strategy: "Most"}, `strategy is "Most"`},
		{"in flight", VolumeGroupCapacityArgs{InFlight: "Count"}, `inFlight is "Count"`},
		{"staleness", VolumeGroupCapacityArgs{StalenessSeconds: 60}, "stalenessSeconds is 60"},
		{"weight of 0", VolumeGroupCapacityArgs{ClassWeights: map[string]int64{"ssd": 0}}, `classWeights["ssd"] is 0`},
		{"weight too large", VolumeGroupCapacityArgs{ClassWeights: map[string]int64{"ssd": 101}}, `classWeights["ssd"] is 101`},
		{"no class", VolumeGroupCapacityArgs{ClassWeights: map[string]int64{"": 1}}, `classWeights[""]`},
	} {
		test.args.SetDefaults()
		err := test.args.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestNewRefusesOtherArgs(t *testing.T) {
	for name, args := range map[string]runtime.Object{
		"another type": &runtime.Unknown{},
		"out of range": &VolumeGroupCapacityArgs{Strategy: "Most", StalenessSeconds: 180},
	} {
		if _, err := New(t.Context(), args, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDeepCopyIsDeep(t *testing.T) {
	args := &VolumeGroupCapacityArgs{ClassWeights: map[string]int64{"ssd": 1}}
	args.DeepCopyObject().(*VolumeGroupCapacityArgs).ClassWeights["ssd"] = 2
	if args.ClassWeights["ssd"] != 1 {
		t.Error("the copy shares its weights")
	}
}
