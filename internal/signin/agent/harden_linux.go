package agent

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps this process's memory from the user's other programs and from disks: no core dump, no debugger and no reader of
// /proc/PID/mem without root's rights, and no swapping where the system allows so much memory to be locked.
func harden() error {
	var failures []error
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		failures = append(failures, fmt.Errorf("prctl: %w", err))
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		failures = append(failures, fmt.Errorf("setrlimit: %w", err))
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		failures = append(failures, fmt.Errorf("getrlimit: %w", err))
	}
	// With a limit, the process would end as soon as it needs more: then its pages are not locked.
	if limit.Cur == unix.RLIM_INFINITY {
		if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
			failures = append(failures, fmt.Errorf("mlockall: %w", err))
		}
	}
	return errors.Join(failures...)
}

// Harden is harden for a process that hands a key on.
func Harden() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
