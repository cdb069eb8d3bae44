package housetest

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Licence finds a missing licence.
func Licence(t *Tree) []string {
	text := t.text("LICENSE")
	if !strings.Contains(text, "Apache License") || !strings.Contains(text, "Version 2.0") {
		return []string{"LICENSE: not the Apache License, Version 2.0"}
	}
	return nil
}

// mechanismsFile is the one list of mechanisms.
const mechanismsFile = "internal/server/mechanisms.go"

// Mechanisms finds mechanisms, folders of internal/authn, that lack what makes one complete: a doc.go with its trust
// assumptions, a page for operators, a place in the one list.
func Mechanisms(t *Tree) []string {
	folders := map[string]bool{}
	for _, name := range t.goFiles() {
		if folder := path.Dir(name); path.Dir(folder) == "internal/authn" && !testOnly(folder) {
			folders[folder] = true
		}
	}
	var listed []string
	if t.parsed[mechanismsFile] != nil {
		listed = t.imports(mechanismsFile)
	}
	var findings []string
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if !t.has(folder + "/doc.go") {
			findings = append(findings, folder+": no doc.go that says what it trusts, proves and does not prove")
		}
		if page := "docs/mechanisms/" + path.Base(folder) + ".md"; !t.has(page) {
			findings = append(findings, folder+": no page "+page)
		}
		if !slices.Contains(listed, Module+"/"+folder) {
			findings = append(findings, folder+": not in "+mechanismsFile)
		}
	}
	return findings
}

// NamedTests finds rows of the table in document that name no test in their last column, and names of tests that no
// module has. A name may be followed by a slash and the name of a subtest, which must stand in a file with the test.
func NamedTests(t *Tree, document string) []string {
	files := t.tests()
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]*)(?:/([^`]*))?`")
	var findings []string
	rows := tableRows(t.text(document))
	if len(rows) == 0 {
		findings = append(findings, document+": has no table")
	}
	for _, row := range rows {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		names := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(names) == 0 {
			findings = append(findings, fmt.Sprintf("%s: no test in the last column of %q", document, strings.TrimSpace(cells[0])))
		}
		for _, name := range names {
			if !slices.ContainsFunc(files[name[1]], func(file string) bool { return strings.Contains(t.text(file), name[2]) }) {
				findings = append(findings, fmt.Sprintf("%s: there is no test %s", document, strings.Trim(name[0], "`")))
			}
		}
	}
	return findings
}

// tests returns the files in which each test function of the tree is declared.
func (t *Tree) tests() map[string][]string {
	files := map[string][]string{}
	for _, name := range t.goFiles() {
		if !isTest(name) {
			continue
		}
		for _, declaration := range t.parsed[name].Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				files[function.Name.Name] = append(files[function.Name.Name], name)
			}
		}
	}
	return files
}

// tableRows returns the rows of the Markdown tables in text, without their headings.
func tableRows(text string) []string {
	var rows []string
	inTable := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case strings.Trim(line, "|-: ") == "":
			inTable = true
		case inTable:
			rows = append(rows, line)
		}
	}
	return rows
}

// Links finds links of Markdown files that lead to no file of the tree.
func Links(t *Tree) []string {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	var findings []string
	for _, name := range t.names {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(t.text(name), -1) {
			if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
				continue
			}
			target := path.Join(path.Dir(name), match[1])
			if !t.has(target) && !t.hasFolder(target) {
				findings = append(findings, fmt.Sprintf("%s: links to %s, which is not there", name, match[1]))
			}
		}
	}
	return findings
}

// Quoted finds out whether document shows the whole of the file source as a block of code.
func Quoted(t *Tree, document, source string) []string {
	content := t.text(source)
	if content == "" {
		return []string{source + ": is missing or empty"}
	}
	if !strings.Contains(t.text(document), "\n```yaml\n"+content+"```\n") {
		return []string{fmt.Sprintf("%s: does not show %s as it is; copy it again", document, source)}
	}
	return nil
}
