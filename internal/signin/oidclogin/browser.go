package oidclogin

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// OpenBrowser has the person's browser show an address, which holds no secret: other users may see it in the list of
// processes. It does not wait for the browser's end. command is the program to use, the variable BROWSER by custom; empty
// means the system's own way.
func OpenBrowser(ctx context.Context, command, address string) error {
	program, arguments := command, []string(nil)
	if fields := strings.Fields(command); len(fields) > 0 {
		program, arguments = fields[0], fields[1:]
	} else {
		switch runtime.GOOS {
		case "windows":
			program, arguments = "rundll32", []string{"url.dll,FileProtocolHandler"}
		case "darwin":
			program = "open"
		default:
			program = "xdg-open"
		}
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("no browser: %w", err)
	}
	// What the browser says is of no interest, and would disturb the terminal.
	browser := exec.CommandContext(context.WithoutCancel(ctx), found, append(arguments, address)...) //nolint:gosec // the person's own browser
	if err := browser.Start(); err != nil {
		return fmt.Errorf("cannot start the browser: %w", err)
	}
	// It may go on after us; its end says nothing about the sign-in.
	go func() { _ = browser.Wait() }()
	return nil
}
