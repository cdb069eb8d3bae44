// Command ostiary is the server.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/ostiary/ostiary/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	err := server.Run(ctx, server.Options{ConfigFile: os.Args[len(os.Args)-1], Version: "dev", Logger: logger, AccessLog: os.Stdout})
	if err != nil {
		logger.Error(err.Error())
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
