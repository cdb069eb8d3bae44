package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildReport is what "ostiary version" tells about the program. Fields are only ever added.
type buildReport struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (p Program) versionCommand(streams IO) *cobra.Command {
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  arguments(cobra.NoArgs),
	}
	format := addOutputFlag(command)
	command.RunE = func(*cobra.Command, []string) error {
		report := p.buildReport()
		if *format == outputJSON {
			return json.NewEncoder(streams.Out).Encode(report)
		}
		text := fmt.Sprintf("ostiary %s", report.Version)
		if report.Revision != "" {
			text += " " + report.Revision
			if report.Modified {
				text += "+modified"
			}
		}
		_, err := fmt.Fprintf(streams.Out, "%s %s %s\n", text, report.Go, report.Platform)
		return err
	}
	return command
}

// buildReport takes the version from the linker, or else from what the Go tool recorded.
func (p Program) buildReport() buildReport {
	report := buildReport{Version: p.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if report.Version == "" {
		report.Version = info.Main.Version
	}
	if report.Version == "" {
		report.Version = "unknown"
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			report.Revision = setting.Value
		case "vcs.modified":
			report.Modified = setting.Value == "true"
		}
	}
	return report
}
