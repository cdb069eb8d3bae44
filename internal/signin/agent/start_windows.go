package agent

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// apart makes a process that outlives the console it was started from.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}
