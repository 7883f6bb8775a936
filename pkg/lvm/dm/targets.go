package dm

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	sectorBytes = 512
	// metadataBlockBytes is dm-thin's, whatever the pool's block size.
	metadataBlockBytes = 4096
)

// PoolMode is what a thin pool still does.
type PoolMode string

// The modes of a thin pool. Only a pool that reads and writes takes new blocks.
const (
	PoolReadWrite  PoolMode = "rw"
	PoolReadOnly   PoolMode = "ro"
	PoolOutOfSpace PoolMode = "out_of_data_space"
	PoolFailed     PoolMode = "fail"
)

// ThinPool is a thin pool's state. Where Mode is PoolFailed the kernel tells no more than that, and all else is zero.
type ThinPool struct {
	Mode PoolMode
	// NeedsCheck: its metadata must be checked before it writes again.
	NeedsCheck bool
	// ErrorWhenFull: writes without room fail at once; otherwise they wait for room first.
	ErrorWhenFull bool
	// BlockBytes is what the pool gives out at once. Sizes are whole blocks.
	BlockBytes                           int64
	DataUsedBytes, SizeBytes             int64
	MetadataUsedBytes, MetadataSizeBytes int64
}

// Snapshot is a thick snapshot's state. Where it is Invalid or Overflowed its bytes are lost, and the rest is zero.
type Snapshot struct {
	UsedBytes, SizeBytes int64
	// Invalid: it was found so, or its disk failed. Overflow: it ran full, and is Invalid after the next activation.
	Invalid, Overflow bool
}

// RAID is a RAID volume's state.
type RAID struct {
	// Health has one letter for each leg: A alive and in sync, a alive and not in sync, D dead.
	Health string
	// SyncAction is what is being done: idle, frozen, resync, recover, check, repair, reshape.
	SyncAction string
	// InSyncSectors of SyncSectors are in sync.
	InSyncSectors, SyncSectors int64
	// Mismatches are the sectors in which copies or parity differed, as the last check counted them.
	Mismatches int64
}

// InSync tells whether any leg that the layout can spare may be lost.
func (r RAID) InSync() bool {
	return strings.Trim(r.Health, "A") == "" && r.InSyncSectors == r.SyncSectors
}

// parseThinPool reads a pool's table and status: Linux, admin-guide/device-mapper/thin-provisioning.rst.
//
//	<metadata dev> <data dev> <block size in sectors> <low water mark> [<features>]
//	<transaction id> <used metadata>/<total metadata blocks> <used data>/<total data blocks> <held metadata root>
//	  ro|rw|out_of_data_space [no_]discard_passdown [error|queue]_if_no_space needs_check|- <metadata low water mark>
func parseThinPool(name, table, status string) (ThinPool, error) {
	if status == "Fail" || status == "Error" {
		return ThinPool{Mode: PoolFailed}, nil
	}
	s := scanner{name: name, text: status, fields: strings.Fields(status)}
	t := scanner{name: name, text: table, fields: strings.Fields(table)}
	pool := ThinPool{Mode: PoolMode(s.word(4)), BlockBytes: t.number(2) * sectorBytes}
	metadata, allMetadata := s.ratio(1)
	data, allData := s.ratio(2)
	pool.MetadataUsedBytes, pool.MetadataSizeBytes = metadata*metadataBlockBytes, allMetadata*metadataBlockBytes
	pool.DataUsedBytes, pool.SizeBytes = data*pool.BlockBytes, allData*pool.BlockBytes
	for _, word := range s.fields[min(5, len(s.fields)):] {
		pool.ErrorWhenFull = pool.ErrorWhenFull || word == "error_if_no_space"
		pool.NeedsCheck = pool.NeedsCheck || word == "needs_check"
	}
	switch pool.Mode {
	case PoolReadWrite, PoolReadOnly, PoolOutOfSpace:
	default:
		s.fail(4)
	}
	if t.err != nil {
		return ThinPool{}, t.err
	}
	return pool, s.err
}

// parseSnapshot reads a snapshot's status: Linux, admin-guide/device-mapper/snapshot.rst.
//
//	<sectors allocated>/<total sectors> <metadata sectors> | Invalid | Overflow | Merge failed
func parseSnapshot(name, status string) (Snapshot, error) {
	switch status {
	case "Invalid", "Merge failed":
		return Snapshot{Invalid: true}, nil
	case "Overflow":
		return Snapshot{Overflow: true}, nil
	}
	s := scanner{name: name, text: status, fields: strings.Fields(status)}
	used, total := s.ratio(0)
	return Snapshot{UsedBytes: used * sectorBytes, SizeBytes: total * sectorBytes}, s.err
}

// parseRAID reads a RAID volume's status: Linux, admin-guide/device-mapper/dm-raid.rst.
//
//	<raid type> <#devices> <health characters> <sync ratio> <sync action> <mismatch count> [<data offset> <journal>]
func parseRAID(name, status string) (RAID, error) {
	s := scanner{name: name, text: status, fields: strings.Fields(status)}
	r := RAID{Health: s.word(2), SyncAction: s.word(4), Mismatches: s.number(5)}
	if s.number(1) != int64(len(r.Health)) || strings.Trim(r.Health, "AaD-") != "" {
		s.fail(2)
	}
	r.InSyncSectors, r.SyncSectors = s.ratio(3)
	return r, s.err
}

// scanner reads a line word by word. The first word that is lacking or malformed leaves err set.
type scanner struct {
	name, text string
	fields     []string
	err        error
}

func (s *scanner) fail(i int) {
	if s.err == nil {
		s.err = fmt.Errorf("status of %s: %q makes no sense at word %d", s.name, s.text, i+1)
	}
}

func (s *scanner) word(i int) string {
	if i >= len(s.fields) {
		s.fail(i)
		return ""
	}
	return s.fields[i]
}

func (s *scanner) number(i int) int64 { return s.parse(i, s.word(i)) }

// ratio reads part/whole.
func (s *scanner) ratio(i int) (part, whole int64) {
	first, second, ok := strings.Cut(s.word(i), "/")
	if !ok {
		s.fail(i)
		return 0, 0
	}
	return s.parse(i, first), s.parse(i, second)
}

func (s *scanner) parse(i int, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		s.fail(i)
		return 0
	}
	return n
}
