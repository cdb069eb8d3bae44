//go:build unix && !linux

package process

import "syscall"

// Attributes puts the program into a group of its own. Where there is no Linux kernel, a killed test leaves its
// programs behind.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
