package oidclogin

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// OpenBrowser has the person's browser show an address, which other users may see in the list of processes. By it they can neither get
// nor use the code that comes of it, as the verifier is not in it; they can bring an answer of their own. It does not wait for the browser's end. command is the program to use, the variable BROWSER by custom; empty
// means the system's own way.
func OpenBrowser(ctx context.Context, command, address string) error {
	words := strings.Fields(command)
	if len(words) == 0 {
		words = systemBrowser()
	}
	program, arguments := words[0], words[1:]
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

// systemBrowser is how this system opens an address.
func systemBrowser() []string {
	switch runtime.GOOS {
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	case "darwin":
		return []string{"open"}
	default:
		return []string{"xdg-open"}
	}
}
