// Command ostiary is the server: an authentication gateway in front of Kubernetes API servers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ostiary/ostiary/internal/cli"
)

// version is set by the linker in release builds: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	os.Exit(run())
}

// run is apart from main so that its deferred calls happen before the process ends.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	program := cli.Program{Version: version}
	return program.Run(ctx, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
}
