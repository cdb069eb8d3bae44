package main

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTargets(t *testing.T) {
	t.Parallel()

	var files []string
	for _, target := range targets() {
		files = append(files, target.file())
		environment := target.command(t.Context()).Env
		for _, want := range []string{"CGO_ENABLED=0", "GOOS=" + target.system, "GOARCH=" + target.architecture} {
			if !slices.Contains(environment, want) {
				t.Errorf("%s is built without %s", target.file(), want)
			}
		}
	}
	for _, system := range systems() {
		if environment := check(t.Context(), system).Env; !slices.Contains(environment, "GOOS="+system) || !slices.Contains(environment, "CGO_ENABLED=0") {
			t.Errorf("tests are compiled for another system than %s", system)
		}
	}
	want := []string{
		"bin/cross/ostiary-linux-amd64",
		"bin/cross/ostiary-linux-arm64",
		"bin/cross/kubectl-ostiary-linux-amd64",
		"bin/cross/kubectl-ostiary-linux-arm64",
		"bin/cross/kubectl-ostiary-darwin-amd64",
		"bin/cross/kubectl-ostiary-darwin-arm64",
		"bin/cross/kubectl-ostiary-windows-amd64.exe",
		"bin/cross/kubectl-ostiary-windows-arm64.exe",
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
