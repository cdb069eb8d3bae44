package process

import "syscall"

// Attributes puts the program into a group of its own and has the kernel kill it when the thread that
// started it ends: that thread must be kept, as Start and Run do.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
