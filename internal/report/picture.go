package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// Picture shows how many of what lead where: nodes in columns from left to right, and bands between them. Nodes keep
// their order within a column.
type Picture struct {
	// Title says what is to be seen, for those too who cannot see it.
	Title string
	// Columns are the headings, from left to right.
	Columns []string
	Nodes   []Node
	Links   []Link
}

// Node is a box in a picture.
type Node struct {
	// ID is how links name it. Label is what is written in it, Note a word below.
	ID, Label, Note string
	// Column counts from 0.
	Column int
	// Tone colours it.
	Tone Tone
}

// Link is a band between two nodes of neighbouring columns.
type Link struct {
	From, To string
	// Count is how many; it makes the band wide.
	Count int
	Tone  Tone
}

// Tone is how alarming something is. The zero value is plain.
type Tone string

// The tones.
const (
	Plain  Tone = ""
	Good   Tone = "good"
	Notice Tone = "notice"
	Alarm  Tone = "alarm"
	Faint  Tone = "faint"
)

// Measures of a picture, in pixels of its own coordinates.
const (
	pictureWidth   = 1080
	pictureMargin  = 12
	headHeight     = 34
	boxWidth       = 236
	boxMinHeight   = 44
	boxGap         = 12
	bandMin        = 2.0
	bandMax        = 26.0
	labelMaxLetter = 27
)

// box is a node with its place.
type box struct {
	Node

	x, y, height  float64
	out, in       float64 // how much of each side bands have taken
	outSum, inSum float64
}

// svg draws the picture. Everything that comes from outside is escaped.
func (p *Picture) svg() template.HTML {
	boxes := map[string]*box{}
	columns := make([][]*box, len(p.Columns))
	for _, node := range p.Nodes {
		if node.Column < 0 || node.Column >= len(columns) {
			continue
		}
		b := &box{Node: node}
		boxes[node.ID], columns[node.Column] = b, append(columns[node.Column], b)
	}
	links := slices.DeleteFunc(slices.Clone(p.Links), func(l Link) bool { return boxes[l.From] == nil || boxes[l.To] == nil || l.Count <= 0 })
	most := 1
	for _, link := range links {
		most = max(most, link.Count)
	}
	width := func(l Link) float64 {
		return bandMin + (bandMax-bandMin)*math.Log1p(float64(l.Count))/math.Log1p(float64(most))
	}
	for _, link := range links {
		boxes[link.From].outSum += width(link)
		boxes[link.To].inSum += width(link)
	}
	height := place(columns)

	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %.0f" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`, pictureWidth, height, template.HTMLEscapeString(p.Title))
	fmt.Fprintf(&b, "<title>%s</title>", template.HTMLEscapeString(p.Title))
	for i, heading := range p.Columns {
		fmt.Fprintf(&b, `<text class="head" x="%.0f" y="20">%s</text>`, columnX(i, len(columns)), template.HTMLEscapeString(heading))
	}
	// Bands leave a box in the order of the boxes that they go to, so that they cross as little as can be.
	slices.SortStableFunc(links, func(l, m Link) int { return int(boxes[l.To].y - boxes[m.To].y) })
	for _, link := range links {
		drawBand(&b, boxes[link.From], boxes[link.To], link, width(link))
	}
	for _, column := range columns {
		for _, one := range column {
			one.draw(&b)
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // every text in it was escaped above
}

// place gives every box its place, and returns the height of all.
func place(columns [][]*box) float64 {
	tallest := 0.0
	for i, column := range columns {
		y := float64(headHeight)
		for _, b := range column {
			b.x, b.y = columnX(i, len(columns)), y
			b.height = max(boxMinHeight, b.outSum+boxGap, b.inSum+boxGap)
			b.out, b.in = (b.height-b.outSum)/2, (b.height-b.inSum)/2 //nolint:mnd // the middle
			y += b.height + boxGap
		}
		tallest = max(tallest, y)
	}
	return tallest + pictureMargin
}

func columnX(i, n int) float64 {
	if n < 2 { //nolint:mnd // a single column stands at the left
		return pictureMargin
	}
	return pictureMargin + float64(i)*(pictureWidth-2*pictureMargin-boxWidth)/float64(n-1)
}

func drawBand(b *strings.Builder, from, to *box, link Link, width float64) {
	x1, y1 := from.x+boxWidth, from.y+from.out+width/2
	x2, y2 := to.x, to.y+to.in+width/2
	from.out += width
	to.in += width
	bend := (x2 - x1) / 2 //nolint:mnd // a curve that leaves and arrives level
	fmt.Fprintf(b, `<path class="band %s" d="M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f" stroke-width="%.1f"><title>%s</title></path>`,
		link.Tone, x1, y1, x1+bend, y1, x2-bend, y2, x2, y2, width,
		template.HTMLEscapeString(from.Label+" → "+to.Label+": "+number(link.Count)))
}

func (b *box) draw(out *strings.Builder) {
	const inset, first, second = 12, 18, 34
	middle := (b.height - boxMinHeight) / 2 //nolint:mnd // the text stands in the middle
	label, note := shorten(b.Label), shorten(b.Note)
	fmt.Fprintf(out, `<g class="box %s"><title>%s</title><rect x="%.1f" y="%.1f" width="%d" height="%.1f" rx="6"/>`,
		b.Tone, template.HTMLEscapeString(b.Label+" "+b.Note), b.x, b.y, boxWidth, b.height)
	fmt.Fprintf(out, `<text class="label" x="%.1f" y="%.1f">%s</text><text class="note" x="%.1f" y="%.1f">%s</text></g>`,
		b.x+inset, b.y+middle+first, template.HTMLEscapeString(label), b.x+inset, b.y+middle+second, template.HTMLEscapeString(note))
}

// shorten cuts a text that a box cannot hold; its whole is in the box's title.
func shorten(text string) string {
	letters := []rune(Printable(text))
	if len(letters) <= labelMaxLetter {
		return string(letters)
	}
	return string(letters[:labelMaxLetter-1]) + "…"
}
