package report

import (
	"encoding/csv"
	"io"
	"strings"
	"unicode/utf8"
)

// unreadSource starts the lines of a CSV file that say what is missing from it.
const unreadSource = "UNREAD SOURCE"

// writeCSV writes the main table, or the findings where there is none. What is missing comes first, in lines of its own,
// because a spreadsheet has no other place that nobody can overlook.
func (r *Report) writeCSV(out io.Writer) error {
	columns, rows := r.Table.Columns, r.Table.Rows
	if len(columns) == 0 {
		columns, rows = r.findingTable()
	}
	writer := csv.NewWriter(out)
	line := make([]string, len(columns))
	for i, column := range columns {
		line[i] = column.Name
	}
	if err := writer.Write(line); err != nil {
		return err
	}
	for _, source := range r.missing() {
		clear(line)
		for i, text := range []string{unreadSource, source.Name, source.Access.String(), source.Why} {
			if i < len(line) {
				line[i] = disarm(Printable(text))
			}
		}
		if err := writer.Write(line); err != nil {
			return err
		}
	}
	for _, row := range rows {
		clear(line)
		for i, cell := range row.Cells {
			line[i] = disarm(Printable(cell))
		}
		if err := writer.Write(line); err != nil {
			return err
		}
	}
	writer.Flush()
	return writer.Error()
}

// disarm keeps a spreadsheet from taking a cell for a formula (CWE-1236): an apostrophe before it makes it text. Leading
// blanks are looked through, because spreadsheets do so too.
func disarm(cell string) string {
	trimmed := strings.TrimLeft(cell, " \u00a0\ufeff")
	if trimmed == "" {
		return cell
	}
	if first, _ := utf8.DecodeRuneInString(trimmed); strings.ContainsRune("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20", first) {
		return "'" + cell
	}
	return cell
}
