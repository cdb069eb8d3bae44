package report

import (
	"fmt"
	"io"
	"strings"
)

// maxMarkdownRows is how many lines of a table a ticket or a mail can hold.
const maxMarkdownRows = 500

// writeMarkdown writes for tickets and mails.
func (r *Report) writeMarkdown(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s, %s\n\n**%s**\n\n", markdown(r.Title), markdown(r.Target), day(r.Generated), markdown(r.completeness()))
	for _, source := range r.missing() {
		fmt.Fprintf(&b, "- **%s** is %s: %s\n", markdown(source.Name), source.Access, markdown(source.Why))
	}
	for _, figure := range r.Summary {
		fmt.Fprintf(&b, "- %s: %s\n", markdown(figure.Name), markdown(figure.Value))
	}
	if columns, rows := r.findingTable(); len(rows) > 0 {
		b.WriteString("\n## Findings\n\n")
		markdownTable(&b, columns, rows)
	}
	if len(r.Table.Columns) > 0 {
		b.WriteString("\n## Credentials\n\n")
		markdownTable(&b, r.Table.Columns, r.Table.Rows)
	}
	b.WriteString("\n## Sources\n\n")
	columns, rows := r.sourceTable()
	markdownTable(&b, columns, rows)
	_, err := io.WriteString(out, b.String())
	return err
}

// sourceTable are the sources as a table.
func (r *Report) sourceTable() ([]Column, []Row) {
	columns := []Column{{Name: "SOURCE"}, {Name: "ACCESS"}, {Name: "ITEMS"}, {Name: "TELLS OF"}, {Name: "WHAT IS MISSING"}}
	rows := make([]Row, len(r.Sources))
	for i := range r.Sources {
		s := &r.Sources[i]
		access := s.Access.String()
		if s.Optional && s.Access == Unread {
			access = "not read (optional)"
		}
		rows[i] = Row{Key: s.Name, Cells: []string{s.Name, access, number(s.Items), s.window(), s.Why}}
	}
	return columns, rows
}

// markdownTable writes a table of GitHub's dialect, without the columns that hold detail.
func markdownTable(b *strings.Builder, columns []Column, rows []Row) {
	line := func(cell func(int) string) {
		b.WriteString("|")
		for i, column := range columns {
			if !column.Detail {
				b.WriteString(" " + cell(i) + " |")
			}
		}
		b.WriteString("\n")
	}
	line(func(i int) string { return markdown(columns[i].Name) })
	line(func(int) string { return "---" })
	for i, row := range rows {
		if i == maxMarkdownRows {
			fmt.Fprintf(b, "\n%s more: the JSON and CSV forms have all.\n", number(len(rows)-i))
			return
		}
		line(func(i int) string { return markdown(row.Cells[i]) })
	}
}

// markdown escapes what would be markup: a name must not become a link, an image or another row.
func markdown(text string) string {
	text = Printable(text)
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case strings.ContainsRune("\\`*_{}[]()#!|~&@", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "://", "\\://")
}
