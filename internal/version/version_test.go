package version_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ostiary/ostiary/internal/version"
)

func TestFrom(t *testing.T) {
	t.Parallel()

	platform := runtime.GOOS + "/" + runtime.GOARCH
	tests := []struct {
		name  string
		build debug.BuildInfo
		want  version.Info
		text  string
	}{
		{
			name: "nothing recorded",
			want: version.Info{Version: "unknown", Revision: "unknown", Time: "unknown"},
			text: "unknown (revision unknown, " + runtime.Version() + ", " + platform + ")",
		},
		{
			name:  "outside version control",
			build: debug.BuildInfo{Main: debug.Module{Version: "(devel)"}},
			want:  version.Info{Version: "unknown", Revision: "unknown", Time: "unknown"},
			text:  "unknown (revision unknown, " + runtime.Version() + ", " + platform + ")",
		},
		{
			name: "tagged",
			build: debug.BuildInfo{
				Main: debug.Module{Version: "v0.3.0"},
				Settings: []debug.BuildSetting{
					{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-10-01T00:00:00Z"}, {Key: "vcs.modified", Value: "false"},
				},
			},
			want: version.Info{Version: "v0.3.0", Revision: "abc", Time: "2026-10-01T00:00:00Z"},
			text: "v0.3.0 (revision abc, " + runtime.Version() + ", " + platform + ")",
		},
		{
			name: "changed after the commit",
			build: debug.BuildInfo{
				Main:     debug.Module{Version: "v0.3.0+dirty"},
				Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
			},
			want: version.Info{Version: "v0.3.0+dirty", Revision: "abc", Time: "unknown", Modified: true},
			text: "v0.3.0+dirty (revision abc, modified, " + runtime.Version() + ", " + platform + ")",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.want.GoVersion, test.want.Platform = runtime.Version(), platform
			got := version.From(&test.build)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.String() != test.text {
				t.Errorf("String() = %q, want %q", got.String(), test.text)
			}
		})
	}
}

func TestGetKnowsTheToolchain(t *testing.T) {
	t.Parallel()
	if got := version.Get().GoVersion; got != runtime.Version() {
		t.Errorf("GoVersion = %q, want %q", got, runtime.Version())
	}
}
