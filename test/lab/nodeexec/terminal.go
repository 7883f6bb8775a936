package nodeexec

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Size is the size of a terminal in characters.
type Size struct{ Rows, Columns uint16 }

// openTerminal makes a pseudo-terminal. The caller closes both ends.
func openTerminal(size Size) (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	slave, err = openSlave(master, size)
	if err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	return master, slave, nil
}

func openSlave(master *os.File, size Size) (*os.File, error) {
	raw, err := master.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Through Control, not Fd: Fd would make reads block for ever.
	var number int
	var ioctlErr error
	err = raw.Control(func(fd uintptr) {
		number, ioctlErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		ioctlErr = errors.Join(ioctlErr,
			unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0),
			unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns}))
	})
	if err := errors.Join(err, ioctlErr); err != nil {
		return nil, err
	}
	return os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
}

func executeOnTerminal(conn net.Conn, frames *frameWriter, cmd *exec.Cmd, size Size) (int, error) {
	master, slave, err := openTerminal(size)
	if err != nil {
		return 0, err
	}
	defer master.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	// A session of its own is a process group of its own too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = cmd.Start()
	slave.Close()
	if err != nil {
		return 0, err
	}
	output := make(chan struct{})
	go func() {
		defer close(output)
		// Ends with EIO when nobody has the other end open any more.
		_, _ = io.Copy(stream{frames, kindStdout}, master)
	}()
	code, err := wait(conn, cmd, noClose{master})
	select {
	case <-output:
	case <-time.After(outputDelay):
	}
	return code, err
}

// noClose keeps the end of input from closing the terminal, which output comes from too.
type noClose struct{ io.Writer }

func (noClose) Close() error { return nil }

// Raw hands the caller's terminal to the command on the node: keys are passed on as they are pressed. Restore sets it
// back. The error is ENOTTY when the file is no terminal.
func Raw(file *os.File) (size Size, restore func(), err error) {
	fd := int(file.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return Size{}, nil, err
	}
	window, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return Size{}, nil, err
	}
	// As cfmakeraw(3) does.
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return Size{}, nil, err
	}
	return Size{Rows: window.Row, Columns: window.Col}, func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }, nil
}
