//go:build unix && !linux

package process

import "syscall"

// Attributes puts the program into a group of its own. Where there is no Linux kernel, a killed test leaves its
// programs behind.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// reap waits for the program's end and kills what it left of its group.
func (p *Process) reap() error {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = KillGroup(p.PID())
	p.reaped = true
	return err
}
