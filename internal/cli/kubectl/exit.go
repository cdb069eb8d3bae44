package kubectl

import (
	"errors"
	"fmt"
)

// Exit codes, for scripts. They are part of the program's interface: docs/cli/kubectl-ostiary.md lists them.
const (
	// ExitDone says that the command did what it was asked for.
	ExitDone = 0
	// ExitFailed says that the command was used wrongly, that the kubeconfig is no good, or that the server answered
	// what no server should.
	ExitFailed = 1
	// ExitNotAGate says that the server answers, and is no Ostiary gate.
	ExitNotAGate = 2
	// ExitNotReady says that the gate answers, and is not ready to serve its cluster.
	ExitNotReady = 3
	// ExitUnreachable says that no answer came, or that the server could not prove who it is.
	ExitUnreachable = 4
	// ExitRefused says that the server refused the credential (401).
	ExitRefused = 5
)

// exitError is an error that ends the program with a code of its own.
type exitError struct {
	code  int
	cause error
}

// exitWith wraps a message; the verbs are those of fmt.Errorf.
func exitWith(code int, format string, values ...any) error {
	return &exitError{code: code, cause: fmt.Errorf(format, values...)}
}

// Error implements error.
func (e *exitError) Error() string { return e.cause.Error() }

// Unwrap gives the cause to errors.Is and errors.As.
func (e *exitError) Unwrap() error { return e.cause }

// exitCode is the code that err ends the program with.
func exitCode(err error) int {
	if err == nil {
		return ExitDone
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return ExitFailed
}
