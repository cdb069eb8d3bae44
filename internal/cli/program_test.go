package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/config/configtest"
)

// run executes the program in this process.
func run(t *testing.T, p program, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = p.run(t.Context(), IO{In: strings.NewReader(in), Out: &stdout, Err: &stderr}, args)
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
		checks []configCheck
		code   int
		want   []string
	}{
		{"one of them refuses", []configCheck{good, plain}, ExitFailure, []string{"ostiary.yaml: tokens.csv:3: too few columns\n", "ostiary.yaml: tokens.csv:9: too short\n", "not valid: 2 mistakes"}},
		{"all refuse, all are heard", []configCheck{located, plain}, ExitFailure, []string{"ostiary.yaml: authentication.jwt: two issuers overlap\n", "too short", "not valid: 3 mistakes"}},
		{"none refuses", []configCheck{good, good}, ExitOK, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := program{checks: row.checks}
			for _, args := range [][]string{{"config", "validate", "-c", file}, {"config", "print", "-c", file}} {
				code, out, errs := run(t, p, "", args...)
				if code != row.code || (code == ExitOK) != (out != "") {
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
	p := program{checks: []configCheck{func(context.Context, *config.Checked) error { cancel(); return nil }}}
	var out bytes.Buffer
	code := p.run(ctx, IO{In: strings.NewReader(""), Out: &out, Err: io.Discard}, []string{"config", "validate", "-c", exampleFile(t)})
	if code != ExitFailure || out.Len() > 0 {
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
		code := program{}.run(t.Context(), IO{In: strings.NewReader("--client-ca-file=/ca.crt"), Out: failing{}, Err: &errs}, args)
		if code != ExitFailure || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%q: exit code %d, standard error %q", args, code, errs.String())
		}
	}
}
