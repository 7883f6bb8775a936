package lvmcli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/berth-dev/berth/pkg/lvm"
	"github.com/berth-dev/berth/pkg/lvm/dm"
	"k8s.io/klog/v2"
)

// Manager is the lvm.Manager of this host.
type Manager struct {
	options Options
	runner  runner
	locks   locks
	scopes  scopes
	hung    hung
}

var _ lvm.Manager = (*Manager)(nil)

// New makes a manager. It runs nothing yet.
func New(options Options) *Manager {
	options = options.withDefaults()
	return &Manager{options: options, runner: runner{binary: options.Binary, observe: options.Observe}}
}

// Report implements lvm.Manager. It waits for LVM's own lock on each volume group; of one with a hung command it
// reads without: LVM commits by writing one block, so what is read is whole, before the change or after it.
func (m *Manager) Report(ctx context.Context, volumeGroups []string) (lvm.Report, error) {
	if len(volumeGroups) == 0 { // LVM would report all there are
		return lvm.Report{VolumeGroups: map[string]lvm.VolumeGroup{}}, nil
	}
	if err := checkNames(volumeGroups...); err != nil {
		return lvm.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, m.options.ReportTimeout)
	defer cancel()
	scope := m.scopes.of(volumeGroups...)
	report, err := m.report(ctx, volumeGroups, scope)
	if err == nil && scope != nil && !whole(volumeGroups, report) {
		report, err = m.report(ctx, volumeGroups, nil)
	}
	if err != nil {
		return lvm.Report{}, err
	}
	m.scopes.remember(volumeGroups, report)
	return report, nil
}

func (m *Manager) report(ctx context.Context, volumeGroups, scope []string) (lvm.Report, error) {
	common := m.common(scope)
	if m.hung.any(volumeGroups) {
		common = append(common, "--nolocking")
	}
	r, err := m.runner.report(ctx, command(reportArguments(volumeGroups, common)))
	if err != nil {
		return lvm.Report{}, err
	}
	report, err := parseReport(r.stdout)
	if err != nil {
		return lvm.Report{}, err
	}
	return report, complete(report, volumeGroups, r)
}

// Activate implements lvm.Manager. It is rare, so it scans; LVM activates what it can and names the rest.
func (m *Manager) Activate(ctx context.Context, volumeGroup string, names []string) error {
	if len(names) == 0 { // LVM would ask for a name
		return nil
	}
	if err := checkNames(names...); err != nil {
		return err
	}
	r, err := m.change(ctx, volumeGroup, names[0], command(activateArguments(volumeGroup, names, m.common(nil))))
	if err == nil && r.code != 0 {
		err = classify("lvchange", r)
	}
	if err != nil {
		return fmt.Errorf("activate in volume group %s: %w", volumeGroup, err)
	}
	return nil
}

// DevicePath implements lvm.Manager.
func (m *Manager) DevicePath(volumeGroup, name string) string {
	return dm.Path(volumeGroup, name)
}

// Drain waits until no changing command is under way, hung ones included. A container's commands die with its first
// process, so the agent calls this before it exits.
// Errors: ErrBusy with the context's error.
func (m *Manager) Drain(ctx context.Context) error {
	return m.locks.all(ctx)
}

// changeScoped runs a command that refuses a volume group it does not see whole, first on the devices known, then,
// when the devices may be why it was refused, with a full scan.
func (m *Manager) changeScoped(ctx context.Context, vg, lv string, arguments func(scope []string) []string) error {
	scope := m.scopes.of(vg)
	err := m.changeOnce(ctx, vg, lv, arguments(scope))
	if scope != nil && (errors.Is(err, lvm.ErrUnusable) || errors.Is(err, lvm.ErrNotFound)) {
		m.scopes.forget(vg)
		err = m.changeOnce(ctx, vg, lv, arguments(nil))
	}
	return err
}

func (m *Manager) changeOnce(ctx context.Context, vg, lv string, arguments []string) error {
	r, err := m.change(ctx, vg, lv, command(arguments))
	if err == nil && r.code != 0 {
		err = classify(arguments[0], r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path(vg, lv), err)
	}
	return nil
}

// change runs one changing command under the volume group's lock.
func (m *Manager) change(ctx context.Context, vg, lv string, inv invocation) (result, error) {
	if err := checkNames(vg, lv); err != nil {
		return result{}, err
	}
	unlock, err := m.lock(ctx, vg)
	if err != nil {
		return result{}, err
	}
	return m.changeLocked(ctx, vg, lv, inv, unlock)
}

// changeLocked is change for a caller that holds the volume group's lock; unlock is called when the command has ended.
func (m *Manager) changeLocked(ctx context.Context, vg, lv string, inv invocation, unlock func()) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, m.options.ChangeTimeout)
	defer cancel()
	m.hung.start(vg)
	return m.runner.change(ctx, inv, func(r result) {
		if r.signalled {
			m.resume(ctx, vg, lv)
		}
		m.hung.end(vg)
		unlock()
	})
}

func (m *Manager) lock(ctx context.Context, vg string) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, m.options.ChangeTimeout)
	defer cancel()
	return m.locks.lock(ctx, vg)
}

// resume frees the LV's device after its command died: suspended, it would freeze whoever uses it.
func (m *Manager) resume(ctx context.Context, vg, lv string) {
	logger := klog.FromContext(ctx)
	resumed, err := dm.ResumeOurs(context.WithoutCancel(ctx), []string{dm.Name(vg, lv)})
	if err != nil {
		logger.Error(err, "Resuming devices after an LVM command died", "volumeGroup", vg, "volumeID", lv)
	}
	if len(resumed) > 0 {
		logger.Info("Resumed suspended devices after an LVM command died", "volumeGroup", vg, "devices", resumed)
	}
}

// common are the options of every command.
func (m *Manager) common(scope []string) []string {
	return append([]string{"--config", m.options.Config}, scope...)
}

// checkNames keeps what LVM would read as an option, or its shell as another command, away from it.
func checkNames(names ...string) error {
	for _, name := range names {
		if !lvm.ValidName(name) {
			return fmt.Errorf("LVM has no names like %q: %w", name, lvm.ErrNotFound)
		}
	}
	return nil
}

func command(arguments []string) invocation {
	return invocation{label: arguments[0], arguments: arguments}
}

// owned finds an LV of Berth's in a report.
func owned(report lvm.Report, volumeGroup, name string) (lvm.LogicalVolume, error) {
	vg, ok := report.VolumeGroups[volumeGroup]
	if !ok {
		return lvm.LogicalVolume{}, fmt.Errorf("volume group %s: %w", volumeGroup, lvm.ErrNotFound)
	}
	if vg.Refusal != "" {
		return lvm.LogicalVolume{}, fmt.Errorf("volume group %s: %s: %w", volumeGroup, vg.Refusal, lvm.ErrUnusable)
	}
	lv, ok := vg.LogicalVolume(name)
	if !ok {
		return lvm.LogicalVolume{}, fmt.Errorf("logical volume %s: %w", path(volumeGroup, name), lvm.ErrNotFound)
	}
	if !slices.Contains(lv.Tags, lvm.TagOwned) {
		return lvm.LogicalVolume{}, fmt.Errorf("logical volume %s: %w", path(volumeGroup, name), lvm.ErrForeign)
	}
	return lv, nil
}
