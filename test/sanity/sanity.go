// Package sanity runs the CSI sanity suite against Berth's services, wherever they are served.
//
// A spec may be skipped only for a capability that the services do not list; any other skip fails the run.
package sanity

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"github.com/berth-dev/berth/pkg/lvm"
)

// Services says where the services are and what may be used for the test.
type Services struct {
	// NodeEndpoint and ControllerEndpoint are unix://path.
	NodeEndpoint, ControllerEndpoint string
	// Directory is where volumes are staged and published; the node service must reach it by the same path.
	Directory string
	// Parameters are the StorageClass's.
	Parameters map[string]string
	// VolumeBytes and ExpandedBytes are whole extents of the volume group.
	VolumeBytes, ExpandedBytes int64
}

// repeats is how often a call that is to be idempotent comes again.
const repeats = 10

// unsupported are the skips that the capability list explains.
var unsupported = []string{
	"Controller Publish, UnpublishVolume not supported",
	"ControllerGetVolumeHealth not supported",
	"ControllerListVolumeHealth not supported",
	"ControllerPublishVolume not supported",
	"ControllerUnpublishVolume not supported",
	"GetSnapshot not supported",
	"GroupControllerService not supported",
	"NodeGetStorageHealth not supported",
	"NodeGetVolumeHealth not supported",
	"SNAPSHOT_ACCESSIBILITY_CONSTRAINTS not supported",
}

// Run runs the suite, once with file systems and once with block volumes. A process can do that once.
func Run(t *testing.T, services Services) {
	gomega.RegisterFailHandler(ginkgo.Fail)
	var suites []*sanity.TestContext
	for _, accessType := range []string{"mount", "block"} {
		config := services.config(accessType)
		ginkgo.Describe(accessType, func() { suites = append(suites, sanity.GinkgoTest(&config)) })
	}
	ginkgo.ReportAfterSuite("skips", func(report ginkgo.Report) {
		for _, text := range unexplained(report) {
			ginkgo.AddReportEntry(text)
			t.Error(text)
		}
	})
	suiteConfig, reporterConfig := ginkgo.GinkgoConfiguration()
	reporterConfig.NoColor = true
	ginkgo.RunSpecs(t, "CSI sanity", suiteConfig, reporterConfig)
	for _, suite := range suites {
		suite.Finalize()
	}
}

func (s Services) config(accessType string) sanity.TestConfig {
	config := sanity.NewTestConfig()
	config.Address, config.ControllerAddress = s.NodeEndpoint, s.ControllerEndpoint
	config.TargetPath = fmt.Sprintf("%s/%s-publish", s.Directory, accessType)
	config.StagingPath = fmt.Sprintf("%s/%s-stage", s.Directory, accessType)
	config.TestVolumeAccessType = accessType
	config.TestVolumeParameters = s.Parameters
	config.TestVolumeSize, config.TestVolumeExpandSize = s.VolumeBytes, s.ExpandedBytes
	config.TestVolumeMutableParameters = map[string]string{lvm.ParameterWriteIOPS: "100"}
	config.IdempotentCount = repeats
	return config
}

// unexplained lists the specs that were skipped for another reason than a capability.
func unexplained(report ginkgo.Report) []string {
	var texts []string
	for i := range report.SpecReports {
		spec := &report.SpecReports[i]
		// A spec that is left out by a flag of ginkgo's has no message; one that is pending is switched off by the suite
		// itself.
		skipped := spec.State.Is(types.SpecStateSkipped) && spec.Failure.Message != ""
		if !skipped || slices.Contains(unsupported, spec.Failure.Message) {
			continue
		}
		texts = append(texts, fmt.Sprintf("skipped: %s: %s", strings.TrimSpace(spec.FullText()), spec.Failure.Message))
	}
	return texts
}
