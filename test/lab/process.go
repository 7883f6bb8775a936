package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-dev/berth/test/lab/layout"
)

// processID names a process for good: numbers are used again, a number with a start time is not.
type processID struct {
	PID int
	// StartTicks is the start time as /proc/PID/stat has it, in clock ticks after boot.
	StartTicks uint64
	// BootID tells boots of the machine apart.
	BootID string
}

// identify returns the identity of a running process.
func identify(pid int) (processID, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processID{}, err
	}
	ticks, zombie, err := parseStat(string(stat))
	if err != nil {
		return processID{}, err
	}
	if zombie {
		return processID{}, os.ErrNotExist
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return processID{PID: pid, StartTicks: ticks, BootID: strings.TrimSpace(string(boot))}, err
}

// parseStat reads the state and the start time from a line of /proc/PID/stat. The second field, the program's name,
// is in parentheses and can hold anything, so fields are counted from the last parenthesis.
func parseStat(line string) (startTicks uint64, zombie bool, err error) {
	const state, start = 3, 22 // field numbers, proc(5)
	end := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	if end < 0 || len(fields) <= start-state {
		return 0, false, fmt.Errorf("malformed process status %q", line)
	}
	startTicks, err = strconv.ParseUint(fields[start-state], 10, 64)
	return startTicks, fields[0] == "Z", err
}

// alive reports whether the process still runs.
func (p processID) alive() bool {
	now, err := identify(p.PID)
	return err == nil && now == p
}

// supervisorOf returns the supervisor of a state directory, if one runs.
func supervisorOf(state layout.State) (processID, bool) {
	var id processID
	if err := layout.ReadJSON(state.Process(), &id); err != nil || id.PID == 0 {
		return processID{}, false
	}
	return id, id.alive()
}

// killLimit bounds the time that the kernel takes to end every process of a cluster.
const killLimit = 30 * time.Second

// kill ends the process and returns when it, and with it every process of its PID namespace, is gone.
func (p processID) kill() error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	if !p.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	for deadline := time.Now().Add(killLimit); time.Now().Before(deadline); {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if !p.alive() {
			return nil
		}
	}
	return fmt.Errorf("process %d did not end within %s", p.PID, killLimit)
}
