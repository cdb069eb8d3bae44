// Fuzzall runs every fuzz target of the given modules in turn, each for a while: "go test -fuzz" takes only one at a
// time. A module without a fuzz target is an error, so that a broken search is not taken for a clean result. Run it in
// the folder tools: go run ./fuzzall -time 10s .. ../e2e.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

// defaultTime is how long each target runs unless told otherwise: long enough to find what a change broke outright,
// short enough for all of them before a push.
const defaultTime = "10s"

// fuzzTarget is one function to fuzz.
type fuzzTarget struct{ module, pkg, name string }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "fuzzall:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	flags := flag.NewFlagSet("fuzzall", flag.ContinueOnError)
	flags.SetOutput(errOut)
	each := flags.String("time", defaultTime, "how long to run each target: a duration, or a number of runs as in 1000x")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("name the folders of the modules to fuzz")
	}
	var found []fuzzTarget
	for _, module := range flags.Args() {
		targets, err := search(ctx, module, errOut)
		if err != nil {
			return err
		}
		found = append(found, targets...)
	}
	for i, target := range found {
		if _, err := fmt.Fprintf(out, "[%d/%d] %s %s\n", i+1, len(found), target.pkg, target.name); err != nil {
			return fmt.Errorf("cannot report: %w", err)
		}
		fuzz := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+target.name+"$", "-fuzztime="+*each, target.pkg) //nolint:gosec // from the list that go test made
		fuzz.Dir, fuzz.Stdout, fuzz.Stderr = target.module, out, errOut
		if err := fuzz.Run(); err != nil {
			return fmt.Errorf("%s of %s failed; the input is in its testdata/fuzz: %w", target.name, target.pkg, err)
		}
	}
	return nil
}

// search lists the fuzz targets of a module.
func search(ctx context.Context, module string, errOut io.Writer) ([]fuzzTarget, error) {
	list := exec.CommandContext(ctx, "go", "test", "-json", "-list=^Fuzz", "./...")
	list.Dir, list.Stderr = module, errOut
	events, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the fuzz targets of %s; does it build?: %w", module, err)
	}
	targets, err := parse(module, events)
	if err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("%s has no fuzz target", module)
	}
	return targets, nil
}

// parse reads the events of "go test -json -list".
func parse(module string, events []byte) ([]fuzzTarget, error) {
	var targets []fuzzTarget
	lines := bufio.NewScanner(bytes.NewReader(events))
	for lines.Scan() {
		var event struct{ Action, Package, Output string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, fmt.Errorf("go test -json wrote %q: %w", lines.Text(), err)
		}
		name := strings.TrimSpace(event.Output)
		if event.Action == "output" && strings.HasPrefix(name, "Fuzz") && !strings.ContainsAny(name, " \t") {
			targets = append(targets, fuzzTarget{module, event.Package, name})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading what go test wrote: %w", err)
	}
	return targets, nil
}
