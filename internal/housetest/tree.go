// Package housetest holds the house rules that no linter knows, as functions over a file tree: names, sizes, package
// comments, who may import whom across packages, and that what the documents promise is there. arch_test.go at the root
// of the repository applies them to it. Every rule answers with findings, one for each breach; none means that it holds.
package housetest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the import path of the repository's main module; the other modules' paths start with it.
const Module = "github.com/ostiary/ostiary"

// Tree is a repository that the rules are applied to.
type Tree struct {
	files fs.FS
	names []string // every file, in lexical order
	// parsed holds every Go file outside testdata.
	parsed map[string]*ast.File
	set    *token.FileSet
}

// Read reads a repository. What the programs make (bin, .cache) and what git keeps are left out.
func Read(files fs.FS) (*Tree, error) {
	tree := &Tree{files: files, parsed: map[string]*ast.File{}, set: token.NewFileSet()}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := path.Base(name); base == ".git" || base == "bin" || base == ".cache" {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		tree.names = append(tree.names, name)
		if path.Ext(name) != ".go" || slices.Contains(strings.Split(name, "/"), "testdata") {
			return nil
		}
		content, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		tree.parsed[name], err = parser.ParseFile(tree.set, name, content, parser.ParseComments|parser.SkipObjectResolution)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the repository: %w", err)
	}
	return tree, nil
}

// has reports whether the tree has the file.
func (t *Tree) has(name string) bool { return slices.Contains(t.names, name) }

// hasFolder reports whether the tree has a file below the folder.
func (t *Tree) hasFolder(name string) bool {
	return slices.ContainsFunc(t.names, func(file string) bool { return strings.HasPrefix(file, name+"/") })
}

// text returns a file's content; empty for a file that is not there.
func (t *Tree) text(name string) string {
	content, err := fs.ReadFile(t.files, name)
	if err != nil {
		return ""
	}
	return string(content)
}

// goFiles returns the names of all Go files outside testdata, in lexical order.
func (t *Tree) goFiles() []string {
	return slices.DeleteFunc(slices.Clone(t.names), func(name string) bool { return t.parsed[name] == nil })
}

// isTest reports whether the file is compiled into tests only.
func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

// generated reports whether the Go file says that it was generated.
func (t *Tree) generated(name string) bool { return ast.IsGenerated(t.parsed[name]) }
