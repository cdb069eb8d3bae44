package report

import (
	_ "embed"
	"html/template"
	"io"
)

// maxHTMLRows is how many lines of a table a browser shows at ease. The other forms have all.
const maxHTMLRows = 2000

//go:embed page.html.tmpl
var pageText string

// page is what the page shows.
type page struct {
	*Report

	Completeness   string
	Missing        []Source
	When           string
	Picture        template.HTML
	Findings, Main pageTable
	SourceTable    pageTable
	MainTitle      string
	// Figures are those of the summary that fit a box, Notes the others.
	Figures, Notes []Figure
}

// pageTable is a table as the page shows it: cells with the tone of what they say.
type pageTable struct {
	Columns []string
	Rows    [][]pageCell
	// Left is how many lines the page leaves out.
	Left int
}

type pageCell struct {
	Text string
	Tone Tone
}

// writeHTML writes one page that needs nothing else: no script, no network, prints well.
func (r *Report) writeHTML(out io.Writer) error {
	parsed, err := template.New("page").Funcs(template.FuncMap{"number": number}).Parse(pageText)
	if err != nil {
		return err
	}
	p := page{Report: r, Completeness: r.completeness(), Missing: r.missing(), When: day(r.Generated), MainTitle: "Credentials"}
	if r.Picture != nil {
		p.Picture = r.Picture.svg()
	}
	const boxed = 26 // letters
	for _, figure := range r.Summary {
		if len(figure.Value) <= boxed {
			p.Figures = append(p.Figures, figure)
		} else {
			p.Notes = append(p.Notes, figure)
		}
	}
	p.Findings = toPage(r.findingTable())
	p.Main = toPage(r.Table.Columns, r.Table.Rows)
	p.SourceTable = toPage(r.sourceTable())
	return parsed.Execute(out, p)
}

func toPage(columns []Column, rows []Row) pageTable {
	var table pageTable
	for _, column := range columns {
		if !column.Detail {
			table.Columns = append(table.Columns, column.Name)
		}
	}
	for i, row := range rows {
		if i == maxHTMLRows {
			table.Left = len(rows) - i
			break
		}
		var cells []pageCell
		for j, column := range columns {
			if !column.Detail {
				cells = append(cells, pageCell{Text: Printable(row.Cells[j]), Tone: toneOf(row.Cells[j])})
			}
		}
		table.Rows = append(table.Rows, cells)
	}
	return table
}

// toneOf colours the words that a reader looks for. It never decides anything.
func toneOf(word string) Tone {
	switch word {
	case "critical", "high", "fail", "unread", "masters", "cluster-admin", "equivalent", "unrecorded":
		return Alarm
	case "medium", "warn", "partial", "unknown", "orphan", "dormant", "namespace":
		return Notice
	case "pass", "read", "active":
		return Good
	case "info", "low", "notApplicable", "off", "not read (optional)", "expired", "-", "":
		return Faint
	default:
		return Plain
	}
}
