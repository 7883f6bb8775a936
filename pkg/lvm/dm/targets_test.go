package dm

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// spec is one struct dm_target_spec as the kernel writes it, with where the next one begins.
func spec(kind, params string, next int) []byte {
	b := binary.NativeEndian.AppendUint64(nil, 0)
	b = binary.NativeEndian.AppendUint64(b, 8192)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(next))
	b = append(b, kind...)
	b = append(b, make([]byte, 40-len(b))...)
	b = append(b, params...)
	return append(b, make([]byte, 8-len(b)%8)...)
}

func TestParseTargets(t *testing.T) {
	one := spec("raid", "raid1 2 AA", 56)
	for _, c := range []struct {
		name    string
		list    []byte
		count   int
		want    []target
		wantErr error
	}{
		{name: "none"},
		{name: "one", list: one, count: 1, want: []target{{"raid", "raid1 2 AA"}}},
		{name: "two", list: slices.Concat(one, spec("linear", "", 96)), count: 2, want: []target{{"raid", "raid1 2 AA"}, {"linear", ""}}},
		{name: "fewer than said", list: one, count: 2, want: nil, wantErr: errMalformed},
		{name: "parameters do not end", list: one[:45], count: 1, wantErr: errMalformed},
		{name: "cut off", list: one[:30], count: 1, wantErr: errMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseTargets(c.list, c.count)
			if !slices.Equal(got, c.want) || !errors.Is(err, c.wantErr) {
				t.Errorf("%v (%v), want %v (%v)", got, err, c.want, c.wantErr)
			}
		})
	}
}

func TestParseThinPool(t *testing.T) {
	const table = "253:0 253:1 128 0 1 error_if_no_space"
	// Blocks of 64 KiB, metadata blocks of 4 KiB.
	const block, metadata = 64 << 10, 4 << 10
	whole := ThinPool{BlockBytes: block, DataUsedBytes: 40 * block, SizeBytes: 1600 * block, MetadataUsedBytes: 13 * metadata, MetadataSizeBytes: 1024 * metadata}
	with := func(change func(*ThinPool)) ThinPool {
		pool := whole
		change(&pool)
		return pool
	}
	for _, c := range []struct {
		name, table, status string
		want                ThinPool
		wantErr             bool
	}{
		{name: "reads and writes", status: "3 13/1024 40/1600 - rw discard_passdown queue_if_no_space - 1024", want: with(func(p *ThinPool) { p.Mode = PoolReadWrite })},
		{name: "fails at once", status: "3 13/1024 40/1600 - rw discard_passdown error_if_no_space - 1024", want: with(func(p *ThinPool) { p.Mode, p.ErrorWhenFull = PoolReadWrite, true })},
		{name: "held root, no passdown", status: "3 13/1024 40/1600 51 rw no_discard_passdown error_if_no_space - 1024", want: with(func(p *ThinPool) { p.Mode, p.ErrorWhenFull = PoolReadWrite, true })},
		{name: "an older kernel says less", status: "3 13/1024 40/1600 - rw discard_passdown queue_if_no_space", want: with(func(p *ThinPool) { p.Mode = PoolReadWrite })},
		{name: "data full", status: "3 13/1024 1600/1600 - out_of_data_space discard_passdown error_if_no_space - 1024", want: with(func(p *ThinPool) { p.Mode, p.ErrorWhenFull, p.DataUsedBytes = PoolOutOfSpace, true, 1600*block })},
		{name: "metadata full", status: "3 1024/1024 40/1600 - ro discard_passdown error_if_no_space needs_check 1024", want: with(func(p *ThinPool) {
			p.Mode, p.ErrorWhenFull, p.NeedsCheck, p.MetadataUsedBytes = PoolReadOnly, true, true, 1024*metadata
		})},
		{name: "failed", status: "Fail", want: ThinPool{Mode: PoolFailed}},
		{name: "broken", status: "Error", want: ThinPool{Mode: PoolFailed}},
		{name: "a mode nobody knows", status: "3 13/1024 40/1600 - wo discard_passdown - 1024", wantErr: true},
		{name: "no fraction", status: "3 13 40/1600 - rw discard_passdown - 1024", wantErr: true},
		{name: "no number", status: "3 13/x 40/1600 - rw discard_passdown - 1024", wantErr: true},
		{name: "cut off", status: "3 13/1024", wantErr: true},
		{name: "empty", wantErr: true},
		{name: "a table without a block size", table: "253:0 253:1", status: "3 13/1024 40/1600 - rw discard_passdown queue_if_no_space - 1024", wantErr: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.table == "" {
				c.table = table
			}
			got, err := parseThinPool("vg0-pool-tpool", c.table, c.status)
			if (err != nil) != c.wantErr || err == nil && got != c.want {
				t.Errorf("%+v (%v), want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseSnapshot(t *testing.T) {
	for _, c := range []struct {
		status  string
		want    Snapshot
		wantErr bool
	}{
		{status: "16/8192 16", want: Snapshot{UsedBytes: 16 * 512, SizeBytes: 8192 * 512}},
		{status: "8192/8192 40", want: Snapshot{UsedBytes: 8192 * 512, SizeBytes: 8192 * 512}},
		{status: "Invalid", want: Snapshot{Invalid: true}},
		{status: "Merge failed", want: Snapshot{Invalid: true}},
		{status: "Overflow", want: Snapshot{Overflow: true}},
		{status: "Unknown", wantErr: true},
		{status: "-1/8192 16", wantErr: true},
		{status: "", wantErr: true},
	} {
		t.Run(c.status, func(t *testing.T) {
			if got, err := parseSnapshot("vg0-snap", c.status); (err != nil) != c.wantErr || err == nil && got != c.want {
				t.Errorf("%+v (%v), want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseRAID(t *testing.T) {
	for _, c := range []struct {
		status     string
		want       RAID
		wantInSync bool
		wantErr    bool
	}{
		{status: "raid1 2 AA 8192/8192 idle 0 0 -", want: RAID{Health: "AA", SyncAction: "idle", InSyncSectors: 8192, SyncSectors: 8192}, wantInSync: true},
		{status: "raid4 5 AAAAA 2/490221568 init 0", want: RAID{Health: "AAAAA", SyncAction: "init", InSyncSectors: 2, SyncSectors: 490221568}},
		{status: "raid5_ls 3 Aaa 128/8192 recover 0 0 -", want: RAID{Health: "Aaa", SyncAction: "recover", InSyncSectors: 128, SyncSectors: 8192}},
		{status: "raid6_zr 5 AADAA 8192/8192 idle 16 0 -", want: RAID{Health: "AADAA", SyncAction: "idle", InSyncSectors: 8192, SyncSectors: 8192, Mismatches: 16}},
		{status: "raid1 3 AA 8192/8192 idle 0 0 -", wantErr: true},
		{status: "raid1 2 AX 8192/8192 idle 0 0 -", wantErr: true},
		{status: "raid1 2 AA 8192 idle 0 0 -", wantErr: true},
		{status: "raid1 2 AA", wantErr: true},
	} {
		t.Run(c.status, func(t *testing.T) {
			got, err := parseRAID("vg0-a", c.status)
			if (err != nil) != c.wantErr || err == nil && got != c.want {
				t.Errorf("%+v (%v), want %+v", got, err, c.want)
			}
			if err == nil && got.InSync() != c.wantInSync {
				t.Errorf("in sync: %t, want %t", got.InSync(), c.wantInSync)
			}
		})
	}
}
