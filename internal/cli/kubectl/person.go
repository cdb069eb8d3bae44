package kubectl

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/signin"
	"github.com/ostiary/ostiary/internal/signin/oidclogin"
	"github.com/ostiary/ostiary/internal/signin/session"
)

// maxPasted bounds what is read of a pasted address, in bytes. Browsers stop far below.
const maxPasted = 32 << 10

// signInPerson has a person sign in at the source's provider, and begins a session.
func signInPerson(ctx context.Context, source session.Source, chosen *loginFlags, streams genericiooptions.IOStreams) (*session.Session, error) {
	flow, err := chooseFlow(source.Provider, chosen)
	if err != nil {
		return nil, err
	}
	client, err := oidclogin.New(ctx, *source.Provider)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var tokens *oidclogin.Tokens
	switch flow {
	case adminapi.FlowCode:
		ports := chosen.ports
		if len(ports) == 0 {
			ports = oidclogin.DefaultPorts()
		}
		tokens, err = client.Code(ctx, ports, func(address string) error { return showAddress(ctx, address, chosen.noBrowser, streams) })
	case adminapi.FlowDevice:
		tokens, err = client.Device(ctx, func(prompt oidclogin.Prompt) error { return showPrompt(prompt, streams) })
	case adminapi.FlowPaste:
		port := 0
		if len(chosen.ports) > 0 {
			port = chosen.ports[0]
		}
		tokens, err = client.Paste(ctx, port, func(address string) error {
			return say(streams, "Sign in with any browser at\n\n    %s\n\nThe browser ends at an address that begins with http://127.0.0.1 and shows an error.\nCopy the whole address from its address bar and paste it here:", address)
		}, func(ctx context.Context) (string, error) { return readLine(ctx, streams.In) })
	}
	if err != nil {
		return nil, err
	}
	return session.Begin(ctx, source, tokens)
}

// chooseFlow finds a way to sign in that the gate allows and that fits this machine.
func chooseFlow(provider *adminapi.SignInProvider, chosen *loginFlags) (string, error) {
	known := []string{adminapi.FlowCode, adminapi.FlowDevice, adminapi.FlowPaste}
	switch {
	case chosen.flow != "" && !slices.Contains(known, chosen.flow):
		return "", exitWith(ExitFailed, "--flow %q: must be one of %s", chosen.flow, list(known))
	case chosen.flow != "" && !slices.Contains(provider.Flows, chosen.flow):
		return "", exitWith(ExitFailed, "the gate does not allow --flow %s for provider %q; it allows %s", chosen.flow, provider.Name, list(provider.Flows))
	case chosen.flow != "":
		return chosen.flow, nil
	}
	for _, flow := range provider.Flows {
		if slices.Contains(known, flow) && (flow != adminapi.FlowCode || !elsewhere()) {
			return flow, nil
		}
	}
	if slices.Contains(provider.Flows, adminapi.FlowCode) {
		return adminapi.FlowCode, nil
	}
	return "", exitWith(ExitFailed, "the gate allows no way to sign in at provider %q that this program knows; it allows %s", provider.Name, list(provider.Flows))
}

// elsewhere reports whether the person sits at another machine, so that a browser here would be of no use.
func elsewhere() bool {
	return (os.Getenv("SSH_CONNECTION") != "" || os.Getenv("SSH_TTY") != "") && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == ""
}

// showAddress opens the browser, or shows where to go.
func showAddress(ctx context.Context, address string, noBrowser bool, streams genericiooptions.IOStreams) error {
	if !noBrowser {
		err := oidclogin.OpenBrowser(ctx, os.Getenv("BROWSER"), address)
		if err == nil {
			return say(streams, "Your browser opens for you to sign in. If it does not, go to\n\n    %s\n", address)
		}
		if err := say(streams, "%v.", err); err != nil {
			return err
		}
	}
	return say(streams, "Sign in with a browser on this machine at\n\n    %s\n", address)
}

// showPrompt shows a device code. What the provider wrote is foreign text.
func showPrompt(prompt oidclogin.Prompt, streams genericiooptions.IOStreams) error {
	if err := say(streams, "Sign in with any browser at\n\n    %s\n\nand type in the code\n\n    %s\n", signin.Foreign(prompt.Address), signin.Foreign(prompt.Code)); err != nil {
		return err
	}
	if prompt.Complete != "" {
		return say(streams, "or go to %s", signin.Foreign(prompt.Complete))
	}
	return nil
}

// readLine reads a line that a person types in. It gives up when ctx ends; what is typed later is lost with the process.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type typed struct {
		line string
		err  error
	}
	came := make(chan typed, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(in, maxPasted)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		came <- typed{line, err}
	}()
	select {
	case got := <-came:
		return got.line, got.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// isTerminal reports whether a stream is a person's terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
