// Package binaries builds the programs that the end-to-end tests run: those of Kubernetes and etcd from the modules
// that e2e/go.mod pins, Helm and k9s from the modules below e2e/programs, and Ostiary's own from the main module. They land in .cache/bin of
// the repository.
//
// A first build compiles Kubernetes, which takes some minutes on a small machine; every later one only asks the go
// command whether something changed. One build runs at a time, whichever test package asks for it.
package binaries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RaceVariable is the environment variable that, when "1", makes Ostiary's own programs be built with the race
// detector, for test runs that use it.
const RaceVariable = "OSTIARY_E2E_RACE"

// BuiltVariable is the environment variable that, when "1", says that all programs were built a moment ago, by cmd/programs:
// to ask the go command whether that is so takes some seconds of each test package.
const BuiltVariable = "OSTIARY_E2E_BUILT"

// heartbeat is how often a build that is under way says so: seldom enough for a log, often enough that nobody takes
// it for stuck.
const heartbeat = 15 * time.Second

const e2eModule = "github.com/ostiary/ostiary/e2e"

// Paths are the files of built programs.
type Paths map[Program]string

// Builder builds programs. The zero value builds without the race detector and shows nothing.
type Builder struct {
	// Progress takes one line for each thing that takes long; nil means none is shown.
	Progress io.Writer
	// Race builds Ostiary's own programs, which are under test, with the race detector. They need a C compiler then.
	Race bool
	// Built takes the programs that are there for fresh. One that is not there is an error.
	Built bool
}

// FromEnvironment is a Builder that shows progress on w and takes Race from RaceVariable and Built from BuiltVariable.
func FromEnvironment(w io.Writer) Builder {
	return Builder{Progress: w, Race: os.Getenv(RaceVariable) == "1", Built: os.Getenv(BuiltVariable) == "1"}
}

// Build makes sure that each program is built and fresh, and returns the files. It must be called with a working
// directory inside the e2e module, as tests are. It is safe to be called by several processes at a time. Errors hold
// what the go command said.
func (b Builder) Build(ctx context.Context, programs ...Program) (Paths, error) {
	root, err := repository(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, ".cache", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // programs that anybody may run
		return nil, fmt.Errorf("make the folder for programs: %w", err)
	}
	known := sources()
	wanted := map[group][]source{}
	paths := Paths{}
	for _, p := range programs {
		src, ok := known[p]
		if !ok {
			return nil, fmt.Errorf("build %q: no such program; see the list in package binaries", p)
		}
		wanted[src.group] = append(wanted[src.group], src)
		paths[p] = filepath.Join(b.groupDir(dir, src.group), src.builtAs)
	}
	if b.Built {
		for _, path := range paths {
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("%s says that all is built: %w", BuiltVariable, err)
			}
		}
		return paths, nil
	}
	unlock, err := b.lock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, g := range groups() {
		if len(wanted[g]) == 0 {
			continue
		}
		if err := b.buildGroup(ctx, root, dir, g, wanted[g]); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// groupDir is where a group's programs land. A build with the race detector has a folder of its own, so that two
// test runs do not undo each other's work.
func (b Builder) groupDir(dir string, g group) string {
	switch {
	case g == etcdGroup:
		return filepath.Join(dir, "etcd")
	case g == ostiaryGroup && b.Race:
		return filepath.Join(dir, "race")
	default:
		return dir
	}
}

func (b Builder) buildGroup(ctx context.Context, root, dir string, g group, srcs []source) error {
	// -s -w leave out what only debuggers need, which halves the time to link. They and -X change nothing that is
	// compiled, so the go command's cache serves all.
	ldflags := []string{"-s", "-w"}
	moduleDir := filepath.Join(root, "e2e")
	var flags []string
	switch g {
	case kubernetesGroup:
		stamps, err := versionStamps(ctx, moduleDir)
		if err != nil {
			return err
		}
		ldflags = append(ldflags, stamps...)
	case ostiaryGroup:
		moduleDir = root
		if b.Race {
			// scrypt is made to be slow; the race detector would find nothing in it, and makes it eight times slower.
			flags = append(flags, "-race", "-gcflags=golang.org/x/crypto/scrypt=-race=false")
		}
	case helmGroup, k9sGroup:
		moduleDir = filepath.Join(moduleDir, "programs", srcs[0].builtAs)
	case etcdGroup:
	}
	target := b.groupDir(dir, g)
	if err := os.MkdirAll(target, 0o755); err != nil { //nolint:gosec // programs that anybody may run
		return fmt.Errorf("make the folder for programs: %w", err)
	}
	args := append([]string{"build"}, flags...)
	args = append(args, "-buildvcs=false", "-ldflags="+strings.Join(ldflags, " "), "-o", target+string(filepath.Separator))
	names := make([]string, 0, len(srcs))
	for _, s := range slices.Compact(srcs) {
		args = append(args, s.pkg)
		names = append(names, s.builtAs)
	}
	return b.run(ctx, moduleDir, strings.Join(names, ", "), args)
}

// run runs the go command and tells from time to time that it is at work.
func (b Builder) run(ctx context.Context, dir, what string, args []string) error {
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // arguments are made above
	cmd.Dir = dir
	// A workspace file above the repository would change which versions are built.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	done := make(chan error, 1)
	go func() { done <- cmd.Run() }()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("build %s in %s: %w\n%s", what, dir, err, output.String())
			}
			if elapsed := time.Since(start); elapsed > heartbeat {
				b.say("built %s in %s", what, elapsed.Round(time.Second))
			}
			return nil
		case <-ticker.C:
			b.say("building %s from source: %s so far (a first build takes about five minutes on two cores)",
				what, time.Since(start).Round(time.Second))
		}
	}
}

func (b Builder) say(format string, args ...any) {
	if b.Progress == nil {
		return
	}
	// A lost line of progress must not end a build.
	_, _ = fmt.Fprintf(b.Progress, format+"\n", args...)
}

// repository is the folder of the main module, which holds the e2e module.
func repository(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", e2eModule)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find the e2e module (run this from within its folder): %w", withStderr(err))
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// versionStamps are the linker flags that make the programs tell the version that they are.
func versionStamps(ctx context.Context, e2eDir string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	cmd.Dir = e2eDir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("find the version of k8s.io/kubernetes: %w", withStderr(err))
	}
	version := strings.TrimSpace(string(out))
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("version %q of k8s.io/kubernetes is not vMAJOR.MINOR.PATCH", version)
	}
	const pkg = "k8s.io/component-base/version."
	return []string{
		"-X", pkg + "gitVersion=" + version,
		"-X", pkg + "gitMajor=" + parts[0],
		"-X", pkg + "gitMinor=" + parts[1],
		"-X", pkg + "gitTreeState=clean",
	}, nil
}

// withStderr adds what a command said on its standard error to its error.
func withStderr(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
