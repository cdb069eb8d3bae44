package process

import (
	"os/exec"
	"runtime"
)

// Run runs a prepared command to its end, as cmd.Run does, with the thread that started it kept until then: a command
// with Attributes needs that. started, if not nil, is called as soon as it runs.
func Run(cmd *exec.Cmd, started func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if started != nil {
		started()
	}
	if err != nil {
		return err
	}
	return cmd.Wait()
}
