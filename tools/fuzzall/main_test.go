package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name    string
		events  string
		want    []fuzzTarget
		wantErr bool
	}{
		{name: "nothing", events: ""},
		{name: "not JSON", events: "FuzzA\n", wantErr: true},
		{name: "no target", events: `{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.01s\n"}`},
		{name: "message that starts alike", events: `{"Action":"output","Package":"m/a","Output":"FuzzA is gone\n"}`},
		{name: "other action", events: `{"Action":"run","Package":"m/a","Output":"FuzzA\n"}`},
		{
			name: "two packages",
			events: `{"Action":"start","Package":"m/a"}
				{"Action":"output","Package":"m/a","Output":"FuzzA\n"}
				{"Action":"output","Package":"m/a","Output":"FuzzB\n"}
				{"Action":"output","Package":"m/b","Output":"FuzzA\n"}`,
			want: []fuzzTarget{{"m", "m/a", "FuzzA"}, {"m", "m/a", "FuzzB"}, {"m", "m/b", "FuzzA"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse("m", []byte(test.events))
			if (err != nil) != test.wantErr {
				t.Fatalf("err = %v, want an error: %t", err, test.wantErr)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(fuzzTarget{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRun runs the real toolchain on small modules, as the program does.
func TestRun(t *testing.T) {
	t.Parallel()

	const test = "package m_test\n\nimport \"testing\"\n\nfunc "
	tests := []struct {
		name     string
		source   string
		wantErr  string // empty means success
		wantText string
	}{
		{name: "no target", source: test + "TestNothing(*testing.T) {}\n", wantErr: "has no fuzz target"},
		{name: "does not build", source: test + "FuzzA(f *testing.F) { undefined() }\n", wantErr: "does it build?"},
		{
			name:    "target that fails",
			source:  test + "FuzzA(f *testing.F) { f.Add(1); f.Fuzz(func(t *testing.T, i int) { t.Error(i) }) }\n",
			wantErr: "FuzzA of m failed",
		},
		{
			name:     "target that holds",
			source:   test + "FuzzA(f *testing.F) { f.Add(1); f.Fuzz(func(*testing.T, int) {}) }\n",
			wantText: "[1/1] m FuzzA",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			module := t.TempDir()
			for file, content := range map[string]string{"go.mod": "module m\n\ngo 1.26.0\n", "m_test.go": test.source} {
				if err := os.WriteFile(filepath.Join(module, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			err := run(t.Context(), []string{"-time", "1x", module}, &out, &out)
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Fatalf("err = %v, want one with %q\n%s", err, test.wantErr, out.String())
			}
			if !strings.Contains(out.String(), test.wantText) {
				t.Errorf("output %q lacks %q", out.String(), test.wantText)
			}
		})
	}
	if err := run(t.Context(), nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("no module to fuzz was no error")
	}
}
