// Crossbuild builds both programs for every platform that they are meant for, without C, and so proves that they build
// there, as the tests of the packages do that differ between systems. Run it in the folder tools: go run ./crossbuild.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

// Where things are, seen from the folder tools.
const (
	mainModule   = ".."
	outputFolder = "bin/cross" // seen from mainModule
)

// target is one program for one platform.
type target struct{ program, system, architecture string }

// targets lists what is built: the plugin wherever kubectl runs, the server on Linux.
func targets() []target {
	list := []target{{"ostiary", "linux", "amd64"}, {"ostiary", "linux", "arm64"}}
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, architecture := range []string{"amd64", "arm64"} {
			list = append(list, target{"kubectl-ostiary", system, architecture})
		}
	}
	return list
}

// file is where the target's program goes, seen from the main module.
func (t target) file() string {
	name := t.program + "-" + t.system + "-" + t.architecture
	if t.system == "windows" {
		name += ".exe"
	}
	return filepath.Join(outputFolder, name)
}

// command builds the target. Symbols are left out: they are a third of the size and no trace needs them.
func (t target) command(ctx context.Context) *exec.Cmd {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", t.file(), "./cmd/"+t.program) //nolint:gosec // from the list above
	build.Dir = mainModule
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.system, "GOARCH="+t.architecture)
	return build
}

// systems are those, besides the one that tests run on, for which the tests of the plugin's packages must compile.
func systems() []string { return []string{"darwin", "windows"} }

// check compiles those tests for a system, and has vet look at them. It runs none.
func check(ctx context.Context, system string) *exec.Cmd {
	vet := exec.CommandContext(ctx, "go", "vet", "-trimpath", "./cmd/kubectl-ostiary", "./internal/cli/kubectl/...", "./internal/signin/...")
	vet.Dir = mainModule
	vet.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system)
	return vet
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "crossbuild:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, errOut io.Writer) error {
	for _, target := range targets() {
		build := target.command(ctx)
		build.Stdout, build.Stderr = out, errOut
		if err := build.Run(); err != nil {
			return fmt.Errorf("%s does not build for %s/%s: %w", target.program, target.system, target.architecture, err)
		}
		if _, err := fmt.Fprintln(out, "built", target.file()); err != nil {
			return fmt.Errorf("cannot report: %w", err)
		}
	}
	for _, system := range systems() {
		vet := check(ctx, system)
		vet.Stdout, vet.Stderr = out, errOut
		if err := vet.Run(); err != nil {
			return fmt.Errorf("the tests of kubectl-ostiary do not compile for %s: %w", system, err)
		}
	}
	return nil
}
