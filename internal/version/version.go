// Package version says which build of Ostiary is running, from what the Go toolchain recorded in the program itself.
// Nothing has to be passed to the linker, so a plain "go build" or "go install" tells the truth as well.
package version

import (
	"runtime"
	"runtime/debug"
)

// Unknown stands for what the build did not record.
const Unknown = "unknown"

// Info is one build. The JSON form is what "version --output json" prints.
type Info struct {
	// Version is the module's: a tag such as "v0.3.0", a pseudo-version between tags, or Unknown.
	Version string `json:"version"`
	// Revision is the commit, or Unknown.
	Revision string `json:"revision"`
	// Time is the commit's, RFC 3339, or Unknown.
	Time string `json:"time"`
	// Modified says that the source differed from the commit.
	Modified bool `json:"modified"`
	// GoVersion is the toolchain's, for example "go1.26.8".
	GoVersion string `json:"goVersion"`
	// Platform is operating system and architecture, for example "linux/amd64".
	Platform string `json:"platform"`
}

// Get returns the running program's build.
func Get() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return From(build)
}

// From reads a build's record. Whatever it lacks becomes Unknown.
func From(build *debug.BuildInfo) Info {
	info := Info{
		Version: Unknown, Revision: Unknown, Time: Unknown,
		GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	// "(devel)" is the toolchain's word for a build outside version control.
	if build.Main.Version != "" && build.Main.Version != "(devel)" {
		info.Version = build.Main.Version
	}
	for _, setting := range build.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Revision = setting.Value
		case "vcs.time":
			info.Time = setting.Value
		case "vcs.modified":
			info.Modified = setting.Value == "true"
		}
	}
	return info
}

// String gives the build in one line, for people and for a log.
func (i Info) String() string {
	text := i.Version + " (revision " + i.Revision
	if i.Modified {
		text += ", modified"
	}
	return text + ", " + i.GoVersion + ", " + i.Platform + ")"
}
