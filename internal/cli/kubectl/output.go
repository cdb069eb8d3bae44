package kubectl

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// format is how a result is printed. The zero value is not valid; newFormat gives the default.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
	formatName  format = "name"
)

// formats lists what --output takes, in the order in which help and errors show it.
func formats() []string {
	return []string{string(formatTable), string(formatJSON), string(formatYAML), string(formatName)}
}

// addOutputFlag adds --output to a command and returns where its value will be.
func addOutputFlag(command *cobra.Command) *format {
	chosen := formatTable
	command.Flags().VarP(&chosen, "output", "o", "Output format: "+strings.Join(formats(), ", ")+".")
	return &chosen
}

// String implements pflag.Value.
func (f *format) String() string { return string(*f) }

// Set implements pflag.Value.
func (f *format) Set(value string) error {
	if !slices.Contains(formats(), value) {
		return fmt.Errorf("must be one of %s", strings.Join(formats(), ", "))
	}
	*f = format(value)
	return nil
}

// Type implements pflag.Value.
func (f *format) Type() string { return "format" }

// printed is a result that can be printed in every format.
type printed interface {
	// table is the heading and the lines below it. Values come from a server and are not trusted.
	table() [][]string
	// names are the words that stand for the result in a script, a line each.
	names() []string
}

// row is one line about one thing.
type row struct{ attribute, value string }

// attributes makes a table of rows.
func attributes(rows []row) [][]string {
	table := [][]string{{"ATTRIBUTE", "VALUE"}}
	for _, row := range rows {
		table = append(table, []string{row.attribute, row.value})
	}
	return table
}

// print writes r to out.
func (f *format) print(out io.Writer, r printed) error {
	switch *f {
	case formatTable:
		return printTable(out, r.table())
	case formatJSON:
		encoded, err := json.MarshalIndent(r, "", "    ")
		if err != nil {
			return fmt.Errorf("cannot write the result as JSON: %w", err)
		}
		return write(out, string(encoded)+"\n")
	case formatYAML:
		encoded, err := yaml.Marshal(r)
		if err != nil {
			return fmt.Errorf("cannot write the result as YAML: %w", err)
		}
		return write(out, string(encoded))
	case formatName:
		for _, name := range r.names() {
			if err := write(out, printable(name)+"\n"); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("unknown output format %q", *f)
	}
}

func printTable(out io.Writer, lines [][]string) error {
	table := printers.GetNewTabWriter(out)
	for _, line := range lines {
		shown := make([]string, len(line))
		for i, value := range line {
			shown[i] = printable(value)
		}
		if err := write(table, strings.Join(shown, "\t")+"\n"); err != nil {
			return err
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	return nil
}

func write(out io.Writer, text string) error {
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	return nil
}

// printable quotes text that would move the cursor, colour the screen, reverse the reading direction or forge a second
// line, so that a name chosen by an attacker cannot rewrite what the reader sees. All other text stays as it is.
func printable(text string) string {
	if text == "" {
		return "<none>"
	}
	for _, r := range text {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.QuoteToASCII(text)
		}
	}
	return text
}

// list shows values as kubectl shows them; each is quoted apart, so that none can imitate two.
func list(values []string) string {
	shown := make([]string, len(values))
	for i, value := range values {
		if shown[i] = printable(value); strings.Contains(shown[i], " ") && shown[i] == value {
			shown[i] = strconv.Quote(value)
		}
	}
	return "[" + strings.Join(shown, " ") + "]"
}

// until shows an end in time, absolute and as seen from now.
func until(end, now time.Time) string {
	text := end.UTC().Format(time.RFC3339)
	if !end.After(now) {
		return text + " (ended " + duration.HumanDuration(now.Sub(end)) + " ago)"
	}
	return text + " (in " + duration.HumanDuration(end.Sub(now)) + ")"
}
