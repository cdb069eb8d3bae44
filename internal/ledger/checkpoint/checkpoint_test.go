package checkpoint_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/ledger/checkpoint"
)

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "checkpoint")
	id := "one"
	file := checkpoint.New(path, func() string { return id })
	if mark, err := file.Load(); mark != nil || err != nil {
		t.Fatalf("%v, %v before the first", mark, err)
	}
	for _, want := range []ledger.Mark{{Index: 1, Chain: "aa"}, {Index: 2, Chain: "bb", Epoch: 7}} {
		if err := file.Save(want); err != nil {
			t.Fatal(err)
		}
		if got, err := checkpoint.New(path, func() string { return id }).Load(); err != nil || *got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("%v, %v: something was left behind", names, err)
	}
	id = "other"
	if _, err := file.Load(); !errors.Is(err, checkpoint.ErrOther) || !strings.Contains(err.Error(), path) {
		t.Errorf("of another ledger: %v", err)
	}
}

func TestFileRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "text": "x", "another version": `{"version":2,"ledger":"one"}`, "an unknown field": `{"version":1,"ledger":"one","x":1}`,
		"no ledger": `{"version":1}`, "too long": `{"version":1,"ledger":"one"}` + strings.Repeat(" ", 5<<10),
	} {
		path := filepath.Join(t.TempDir(), "checkpoint")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if mark, err := checkpoint.New(path, func() string { return "one" }).Load(); err == nil {
			t.Errorf("%s: %v", name, mark)
		}
	}
}
