package housetest

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxLines keeps a file small enough to be read in one go by whoever has to trust it.
const maxLines = 600

// emptyNames are package names that say nothing of what the package provides.
func emptyNames() []string {
	return []string{"base", "common", "core", "helper", "helpers", "misc", "models", "types", "util", "utils"}
}

// PackageNames finds packages whose name says nothing.
func PackageNames(t *Tree) []string {
	var findings []string
	for _, name := range t.goFiles() {
		if pkg := strings.TrimSuffix(t.parsed[name].Name.Name, "_test"); slices.Contains(emptyNames(), pkg) {
			findings = append(findings, fmt.Sprintf("%s: package %s says nothing; name it for what it provides", name, pkg))
		}
	}
	return findings
}

// PackageComments finds packages that do not say what they are for. Folders with nothing but tests need no comment.
func PackageComments(t *Tree) []string {
	documented := map[string]bool{}
	for _, name := range t.goFiles() {
		if isTest(name) {
			continue
		}
		folder, file := path.Dir(name), t.parsed[name]
		text := ""
		if file.Doc != nil {
			text = file.Doc.Text()
		}
		documented[folder] = documented[folder] ||
			strings.HasPrefix(text, "Package "+file.Name.Name+" ") || file.Name.Name == "main" && text != ""
	}
	var findings []string
	for _, name := range t.goFiles() {
		folder := path.Dir(name)
		if is, found := documented[folder]; found && !is {
			findings = append(findings, fmt.Sprintf("%s: no file starts with a comment that says what the package is for", folder))
			delete(documented, folder)
		}
	}
	return findings
}

// FileLengths finds Go files that are too long. Generated ones are not read by anybody and may be longer.
func FileLengths(t *Tree) []string {
	var findings []string
	for _, name := range t.goFiles() {
		if lines := strings.Count(t.text(name), "\n"); lines > maxLines && !t.generated(name) {
			findings = append(findings, fmt.Sprintf("%s: %d lines, at most %d; split it by concept", name, lines, maxLines))
		}
	}
	return findings
}

// machinePath is a path that is only there on somebody's machine. The expression is written so that it does not find
// itself.
var machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.$}-])/(root|work|home/[a-z][a-z0-9]*|Users/[A-Za-z]+)/[A-Za-z.]`)

// MachinePaths finds paths of the machine that something was written on.
func MachinePaths(t *Tree) []string {
	var findings []string
	for _, name := range t.names {
		if path.Base(name) == "go.sum" {
			continue
		}
		for i, line := range strings.Split(t.text(name), "\n") {
			if found := machinePath.FindString(line); found != "" {
				findings = append(findings, fmt.Sprintf("%s:%d: %s… is a path of one machine", name, i+1, strings.TrimSpace(found)))
			}
		}
	}
	return findings
}

// Promises finds what is put off: notes of work to do, and tests that are skipped.
func Promises(t *Tree) []string {
	note := regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|XX` + `X)\b`)
	var findings []string
	for _, name := range t.goFiles() {
		for _, group := range t.parsed[name].Comments {
			if found := note.FindString(group.Text()); found != "" {
				findings = append(findings, fmt.Sprintf("%s: a %s; do it or drop it", t.set.Position(group.Pos()), found))
			}
		}
		ast.Inspect(t.parsed[name], func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && isTest(name) {
				if selector, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name) {
					findings = append(findings, fmt.Sprintf("%s: a test is skipped; make it run everywhere", t.set.Position(call.Pos())))
				}
			}
			return true
		})
	}
	return findings
}

// TLSConfigs finds tls.Config literals outside tlspolicy, which is where protocol versions and suites are decided for
// everything that the main module's programs do. Tests may make what they like, and so may the other modules, whose
// programs play clients good and bad.
func TLSConfigs(t *Tree) []string {
	var findings []string
	for _, name := range t.goFiles() {
		if isTest(name) || testOnly(path.Dir(name)) || strings.HasPrefix(name, "e2e/") || strings.HasPrefix(name, "tools/") ||
			path.Dir(name) == "internal/tlspolicy" {
			continue
		}
		ast.Inspect(t.parsed[name], func(node ast.Node) bool {
			literal, ok := node.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if selector, ok := literal.Type.(*ast.SelectorExpr); ok && selector.Sel.Name == "Config" {
				if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "tls" {
					findings = append(findings, fmt.Sprintf("%s: a tls.Config of its own; tlspolicy makes them all", t.set.Position(node.Pos())))
				}
			}
			return true
		})
	}
	return findings
}

// imports returns the import paths of a Go file.
func (t *Tree) imports(name string) []string {
	var paths []string
	for _, spec := range t.parsed[name].Imports {
		if unquoted, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, unquoted)
		}
	}
	return paths
}

// testOnly reports whether a package, by import path or folder, is for tests only: its name ends in "test", or it is
// testca.
func testOnly(pkg string) bool {
	name := path.Base(pkg)
	return name == "testca" || len(name) > len("test") && strings.HasSuffix(name, "test")
}

// TestPackages finds packages for tests that something else than a test imports: their keys and answers are made up.
func TestPackages(t *Tree) []string {
	var findings []string
	for _, name := range t.goFiles() {
		if isTest(name) || testOnly(path.Dir(name)) {
			continue
		}
		for _, imported := range t.imports(name) {
			if strings.HasPrefix(imported, Module+"/") && testOnly(imported) {
				findings = append(findings, fmt.Sprintf("%s: imports %s, which is for tests only", name, imported))
			}
		}
	}
	return findings
}
