// Command bench measures what the gate costs: Ostiary with everything on, beside a plain httputil.ReverseProxy with TLS
// on both sides, in one run, against the same server, with the same requests. It prints figures and the ratio between
// them; on a noisy machine only the ratio means anything.
//
// CPU is the proxy process' own, read from the kernel; the load generator and the server behind do not count.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context) error {
	role := flag.String("role", "", "internal: run as \"server\" or \"plain\" in the folder -dir")
	dir := flag.String("dir", "", "internal: the folder with keys")
	upstream := flag.String("upstream", "", "internal: the server behind the plain proxy")
	rounds := flag.Int("rounds", 5, "how often each measurement is repeated, in turn with its baseline")
	requests := flag.Int("requests", 4000, "requests in one round")
	users := flag.Int("users", 1000, "how many different people call")
	watches := flag.Int("watches", 1000, "idle watches to hold open for the memory figure")
	records := flag.Int("records", 100_000, "how many credentials are on record, and how many shut out, in the ledger that is compared with an empty one; 0 compares none")
	ledgerOnly := flag.Bool("ledger-only", false, "leave out everything but the two ledgers")
	flag.Parse()
	switch *role {
	case "server":
		return serveBackend(ctx, *dir)
	case "reviews":
		return serveReviews(ctx, *dir)
	case "plain":
		return servePlain(ctx, *dir, *upstream)
	case "":
		return measure(ctx, settings{rounds: *rounds, requests: *requests, users: *users, watches: *watches, records: *records, ledgerOnly: *ledgerOnly})
	default:
		return fmt.Errorf("unknown role %q", *role)
	}
}
