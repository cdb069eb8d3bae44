// Command ostiary is the server: an authentication gateway in front of Kubernetes API servers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ostiary/ostiary/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once: draining may take long, and a file that is being read may never end.
	context.AfterFunc(ctx, stop)
	code := cli.Run(ctx, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}
