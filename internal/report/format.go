package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Format is how a report is written. The zero value is not valid.
type Format string

// The formats.
const (
	FormatTable    Format = "table"
	FormatWide     Format = "wide"
	FormatJSON     Format = "json"
	FormatCSV      Format = "csv"
	FormatSARIF    Format = "sarif"
	FormatJUnit    Format = "junit"
	FormatMarkdown Format = "markdown"
	FormatHTML     Format = "html"
)

// Formats lists all, in the order in which help shows them.
func Formats() []string {
	return []string{
		string(FormatTable), string(FormatWide), string(FormatJSON), string(FormatCSV), string(FormatSARIF), string(FormatJUnit),
		string(FormatMarkdown), string(FormatHTML),
	}
}

// String implements pflag.Value.
func (f *Format) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *Format) Set(value string) error {
	if !slices.Contains(Formats(), value) {
		return fmt.Errorf("must be one of %s", strings.Join(Formats(), ", "))
	}
	*f = Format(value)
	return nil
}

// Type implements pflag.Value.
func (*Format) Type() string { return "format" }

// Write writes the report. Nothing of it is kept.
func (r *Report) Write(out io.Writer, format Format) error {
	for _, row := range r.Table.Rows {
		if len(row.Cells) != len(r.Table.Columns) {
			return fmt.Errorf("row %q has %d cells, want %d", row.Key, len(row.Cells), len(r.Table.Columns))
		}
	}
	buffered := bufio.NewWriter(out)
	var err error
	switch format {
	case FormatTable:
		err = r.writeTable(buffered, false)
	case FormatWide:
		err = r.writeTable(buffered, true)
	case FormatJSON:
		err = r.writeJSON(buffered)
	case FormatCSV:
		err = r.writeCSV(buffered)
	case FormatSARIF:
		err = r.writeSARIF(buffered)
	case FormatJUnit:
		err = r.writeJUnit(buffered)
	case FormatMarkdown:
		err = r.writeMarkdown(buffered)
	case FormatHTML:
		err = r.writeHTML(buffered)
	default:
		return fmt.Errorf("unknown output format %q", format)
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return fmt.Errorf("cannot write the report as %s: %w", format, err)
	}
	return nil
}
