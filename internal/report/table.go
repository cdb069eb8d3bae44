package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

const (
	// tablePadding is the space between columns, as kubectl has it.
	tablePadding = 3
	// nothing stands for an empty cell, so that columns can be told apart.
	nothing = "-"
)

// writeTable writes for people: summary, what is missing, findings, rows. Everything is quoted for a terminal.
func (r *Report) writeTable(out io.Writer, wide bool) error {
	if err := r.writeHead(out); err != nil {
		return err
	}
	if columns, rows := r.findingTable(); len(rows) > 0 {
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
		if err := align(out, columns, rows, wide); err != nil {
			return err
		}
	}
	if len(r.Table.Columns) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	return align(out, r.Table.Columns, r.Table.Rows, wide)
}

// writeHead writes what stands above the tables.
func (r *Report) writeHead(out io.Writer) error {
	lines := []string{
		Printable(r.Title) + " of " + Printable(r.Target) + ", " + day(r.Generated), r.completeness(),
	}
	for _, source := range r.missing() {
		lines = append(lines, "  "+source.Access.String()+": "+Printable(source.Name)+": "+Printable(source.Why))
	}
	for i := range r.Sources {
		source := &r.Sources[i]
		if source.complete() && source.Access != Read && source.Access != Off {
			lines = append(lines, "  optional, not read: "+Printable(source.Name)+": "+Printable(source.Why))
		}
		if window := source.window(); window != "" {
			lines = append(lines, "  "+Printable(source.Name)+" tells of "+window)
		}
	}
	for _, figure := range r.Summary {
		lines = append(lines, Printable(figure.Name)+": "+Printable(figure.Value))
	}
	_, err := io.WriteString(out, strings.Join(lines, "\n")+"\n")
	return err
}

// findingTable are the findings as a table.
func (r *Report) findingTable() ([]Column, []Row) {
	columns := []Column{
		{Name: "STATE"},
		{Name: "SEVERITY"},
		{Name: "RULE"},
		{Name: "SUBJECT"},
		{Name: "MESSAGE"},
		{Name: "TITLE", Detail: true},
		{Name: "POINT", Detail: true},
		{Name: "EVIDENCE", Detail: true},
		{Name: "REMEDY", Detail: true},
		{Name: "REFERENCES", Detail: true},
		{Name: "LOCATION", Detail: true},
		{Name: "FINGERPRINT", Detail: true},
	}
	rows := make([]Row, len(r.Findings))
	for i := range r.Findings {
		f := &r.Findings[i]
		rows[i] = Row{Key: f.Fingerprint, Cells: []string{
			f.State.String(), f.Severity.String(), f.Rule, f.Subject, f.Message, f.Title, f.Point, f.Evidence, f.Remedy,
			strings.Join(f.References, "; "), f.Location, f.Fingerprint,
		}}
	}
	return columns, rows
}

// align writes columns under one another.
func align(out io.Writer, columns []Column, rows []Row, wide bool) error {
	table := tabwriter.NewWriter(out, 0, 0, tablePadding, ' ', 0)
	line := func(cell func(int) string) error {
		var shown []string
		for i, column := range columns {
			if wide || !column.Detail {
				shown = append(shown, cell(i))
			}
		}
		_, err := fmt.Fprintln(table, strings.TrimRight(strings.Join(shown, "\t"), "\t"))
		return err
	}
	if err := line(func(i int) string { return columns[i].Name }); err != nil {
		return err
	}
	for _, row := range rows {
		if err := line(func(i int) string {
			if row.Cells[i] == "" {
				return nothing
			}
			return Printable(row.Cells[i])
		}); err != nil {
			return err
		}
	}
	return table.Flush()
}
