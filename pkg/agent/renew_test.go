package agent

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/utils/exec"
	exectesting "k8s.io/utils/exec/testing"
)

// answer is what one command prints, and its exit status.
type answer struct {
	output string
	status int
}

// answering runs commands that answer in turn, and notes what was run.
func answering(ran *[]string, answers []answer) *exectesting.FakeExec {
	fake := &exectesting.FakeExec{}
	for _, a := range answers {
		fake.CommandScript = append(fake.CommandScript, func(command string, arguments ...string) exec.Cmd {
			*ran = append(*ran, strings.Join(append([]string{command}, arguments...), " "))
			return exectesting.InitFakeCmd(&exectesting.FakeCmd{CombinedOutputScript: []exectesting.FakeAction{
				func() ([]byte, []byte, error) {
					if a.status != 0 {
						return []byte(a.output), nil, &exectesting.FakeExitError{Status: a.status}
					}
					return []byte(a.output), nil, nil
				},
			}}, command, arguments...)
		})
	}
	return fake
}

func TestRenew(t *testing.T) {
	features := func(names string) answer { return answer{output: "Filesystem features:      " + names + "\n"} }
	const mounted = "DIRECTORY/berth-renew-d"
	for _, test := range []struct {
		name, fsType string
		// left: the directory is there already.
		left    bool
		answers []answer
		want    []string
		wantErr string
	}{
		{
			name: "ext4", fsType: "ext4", answers: []answer{{}, features("has_journal metadata_csum_seed metadata_csum"), {}},
			want: []string{"e2fsck -fy /dev/d", "dumpe2fs -h /dev/d", "tune2fs -U random /dev/d"},
		},
		{
			name: "ext4 whose checksums begin with the UUID", fsType: "ext4", answers: []answer{{}, features("metadata_csum"), {}},
			want: []string{"e2fsck -fy /dev/d", "dumpe2fs -h /dev/d", "tune2fs -O metadata_csum_seed -U random /dev/d"},
		},
		{
			name: "ext4 in use when copied", fsType: "ext4", answers: []answer{{"recovering journal", 1}, features("has_journal"), {}},
			want: []string{"e2fsck -fy /dev/d", "dumpe2fs -h /dev/d", "tune2fs -U random /dev/d"},
		},
		{
			name: "ext4 beyond repair", fsType: "ext4", answers: []answer{{"bad magic number", 8}},
			want: []string{"e2fsck -fy /dev/d"}, wantErr: "bad magic number",
		},
		{
			name: "xfs", fsType: "xfs", answers: []answer{{}, {}, {output: "UUID = 1"}, {}, {output: "UUID = 2"}},
			want: []string{
				"mount -t xfs -o nouuid,nosuid,nodev,noexec /dev/d " + mounted, "umount " + mounted,
				"xfs_admin -u /dev/d", "xfs_admin -U generate /dev/d", "xfs_admin -u /dev/d",
			},
		},
		{
			name: "xfs that xfs_admin leaves as it was", fsType: "xfs",
			answers: []answer{{}, {}, {output: "UUID = 1"}, {output: "ERROR: The filesystem has valuable metadata changes"}, {output: "UUID = 1"}},
			want: []string{
				"mount -t xfs -o nouuid,nosuid,nodev,noexec /dev/d " + mounted, "umount " + mounted,
				"xfs_admin -u /dev/d", "xfs_admin -U generate /dev/d", "xfs_admin -u /dev/d",
			},
			wantErr: "valuable metadata changes",
		},
		{
			name: "xfs that does not mount", fsType: "xfs", answers: []answer{{"bad superblock", 32}},
			want: []string{"mount -t xfs -o nouuid,nosuid,nodev,noexec /dev/d " + mounted}, wantErr: "bad superblock",
		},
		{
			name: "xfs that an agent left mounted", fsType: "xfs", left: true, answers: []answer{{}, {}, {}, {output: "UUID = 1"}, {}, {output: "UUID = 2"}},
			want: []string{
				"umount " + mounted, "mount -t xfs -o nouuid,nosuid,nodev,noexec /dev/d " + mounted, "umount " + mounted,
				"xfs_admin -u /dev/d", "xfs_admin -U generate /dev/d", "xfs_admin -u /dev/d",
			},
		},
		{name: "btrfs", fsType: "btrfs", answers: []answer{{}}, want: []string{"btrfstune -f -m /dev/d"}},
		{
			name: "btrfs of old tools", fsType: "btrfs", answers: []answer{{"btrfstune: invalid option -- 'm'", 1}, {}},
			want: []string{"btrfstune -f -m /dev/d", "btrfstune -f -u /dev/d"},
		},
		{name: "unknown", fsType: "ntfs", wantErr: `"ntfs"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ran []string
			directory := t.TempDir()
			if test.left {
				if err := os.Mkdir(filepath.Join(directory, "berth-renew-d"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			err := HostRenewer{Exec: answering(&ran, test.answers), Directory: directory}.Renew(t.Context(), "/dev/d", test.fsType)
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("%v, want %q", err, test.wantErr)
			}
			for i := range ran {
				ran[i] = strings.ReplaceAll(ran[i], directory, "DIRECTORY")
			}
			if !reflect.DeepEqual(ran, test.want) {
				t.Errorf("ran %q, want %q", ran, test.want)
			}
		})
	}
}
