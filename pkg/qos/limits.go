package qos

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits are what one pod may do with one device in a second; 0 is no limit.
type Limits struct {
	ReadBytes, WriteBytes           int64
	ReadOperations, WriteOperations int64
}

// Device is a block device's number.
type Device struct{ Major, Minor uint32 }

func (d Device) String() string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// kernel is the limits as the kernel keeps them: it counts operations in 32 bits, and the largest number is no limit.
func (l Limits) kernel() Limits {
	l.ReadOperations = operations(l.ReadOperations)
	l.WriteOperations = operations(l.WriteOperations)
	return l
}

func operations(n int64) int64 {
	if n >= math.MaxUint32 {
		return 0
	}
	return n
}

// line is the limits as io.max takes them (Documentation/admin-guide/cgroup-v2.rst, IO Interface Files).
func (l Limits) line(device Device) string {
	return fmt.Sprintf("%s rbps=%s wbps=%s riops=%s wiops=%s", device,
		number(l.ReadBytes), number(l.WriteBytes), number(l.ReadOperations), number(l.WriteOperations))
}

func number(n int64) string {
	if n <= 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// limitsOf finds a device's limits in what io.max reads; a device that is not listed has none.
func limitsOf(content string, device Device) (Limits, error) {
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != device.String() {
			continue
		}
		return parseLimits(fields[1:])
	}
	return Limits{}, nil
}

func parseLimits(fields []string) (l Limits, err error) {
	places := map[string]*int64{"rbps": &l.ReadBytes, "wbps": &l.WriteBytes, "riops": &l.ReadOperations, "wiops": &l.WriteOperations}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		place, ok := places[key]
		if !ok || value == "max" {
			continue
		}
		if *place, err = strconv.ParseInt(value, 10, 64); err != nil {
			return Limits{}, fmt.Errorf("io.max: %q: %w", field, err)
		}
	}
	return l, nil
}
