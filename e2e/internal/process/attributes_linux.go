package process

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Attributes puts the program into a group of its own and has the kernel kill it when the thread that
// started it ends: that thread must be kept, as Start and Run do.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits for the program's end and kills what it left of its group. It kills before the ended program is waited
// for: until then the number of the group cannot be another's.
func (p *Process) reap() error {
	for {
		if err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	killErr := KillGroup(p.PID())
	p.reaped = true
	if err := p.cmd.Wait(); err != nil {
		return err
	}
	return killErr
}
