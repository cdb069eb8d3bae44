package cli_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ostiary/ostiary/internal/cli"
	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ostiary": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			program := cli.Program{Version: "v0.0.0-test"}
			code := program.Run(ctx, cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:])
			stop()
			os.Exit(code)
		},
	})
}

// TestScripts runs testdata/script. Every script finds the files of the example in its folder, and the example itself as
// ostiary.yaml; "exits N program args" runs a program and demands that exit code; "expand file" puts $WORK into a file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			example := map[string][]byte{"ostiary.yaml": []byte(configtest.Example())}
			return errors.Join(configtest.WriteAll(env.WorkDir), configtest.Write(env.WorkDir, example))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "expand": expand},
	})
}

func exits(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: exits code program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%s did not run: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// run executes the program in this process.
func run(t *testing.T, program cli.Program, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = program.Run(t.Context(), cli.IO{In: strings.NewReader(in), Out: &stdout, Err: &stderr}, args)
	return code, stdout.String(), stderr.String()
}

func exampleFile(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := configtest.WriteAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := configtest.Write(dir, map[string][]byte{"ostiary.yaml": []byte(configtest.Example())}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "ostiary.yaml")
}

func TestChecksOfMechanisms(t *testing.T) {
	good := func(context.Context, *config.Checked) error { return nil }
	plain := func(context.Context, *config.Checked) error {
		return errors.Join(errors.New("tokens.csv:3: too few columns"), errors.New("tokens.csv:9: too short"))
	}
	located := func(context.Context, *config.Checked) error {
		return &config.InvalidError{Mistakes: []config.Mistake{{Path: "authentication.jwt", Message: "two issuers overlap"}}}
	}
	file := exampleFile(t)
	for _, row := range []struct {
		name   string
		checks []cli.ConfigCheck
		code   int
		want   []string
	}{
		{"one of them refuses", []cli.ConfigCheck{good, plain}, cli.ExitFailure, []string{"ostiary.yaml: tokens.csv:3: too few columns\n", "ostiary.yaml: tokens.csv:9: too short\n", "not valid: 2 mistakes"}},
		{"all refuse, all are heard", []cli.ConfigCheck{located, plain}, cli.ExitFailure, []string{"ostiary.yaml: authentication.jwt: two issuers overlap\n", "too short", "not valid: 3 mistakes"}},
		{"none refuses", []cli.ConfigCheck{good, good}, cli.ExitOK, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			program := cli.Program{Checks: row.checks}
			for _, args := range [][]string{{"config", "validate", "-c", file}, {"config", "print", "-c", file}} {
				code, out, errs := run(t, program, "", args...)
				if code != row.code || (code == cli.ExitOK) != (out != "") {
					t.Errorf("%q: exit code %d, want %d; output %q", args, code, row.code, out)
				}
				for _, want := range row.want {
					if !strings.Contains(errs, want) {
						t.Errorf("%q: standard error lacks %q:\n%s", args, want, errs)
					}
				}
			}
		})
	}
}

// An interrupted check has not found the configuration good.
func TestInterruptedCheckIsNoSuccess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	program := cli.Program{Checks: []cli.ConfigCheck{func(context.Context, *config.Checked) error { cancel(); return nil }}}
	var out bytes.Buffer
	code := program.Run(ctx, cli.IO{In: strings.NewReader(""), Out: &out, Err: io.Discard}, []string{"config", "validate", "-c", exampleFile(t)})
	if code != cli.ExitFailure || out.Len() > 0 {
		t.Errorf("exit code %d with output %q", code, out.String())
	}
}

// failing is a standard output that cannot be written to, such as a full disk.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFailedOutputIsFailure(t *testing.T) {
	file := exampleFile(t)
	for _, args := range [][]string{
		{"version"},
		{"version", "-o", "json"},
		{"config", "schema"},
		{"config", "print", "-c", file},
		{"config", "validate", "-c", file},
		{"config", "validate", "-c", file, "-o", "json"},
		{"config", "from-apiserver"},
	} {
		var errs bytes.Buffer
		code := cli.Program{}.Run(t.Context(), cli.IO{In: strings.NewReader("--client-ca-file=/ca.crt"), Out: failing{}, Err: &errs}, args)
		if code != cli.ExitFailure || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%q: exit code %d, standard error %q", args, code, errs.String())
		}
	}
}

// expand replaces $WORK in a file, as testscript does in its commands only.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := strings.ReplaceAll(ts.ReadFile(name), "$WORK", ts.Getenv("WORK"))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}
