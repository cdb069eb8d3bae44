package housetest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Replacements finds replace directives in the main module: with one, "go install" of the programs fails, and what is
// built is not what the requirements say.
func Replacements(t *Tree) []string {
	file, err := modfile.Parse("go.mod", []byte(t.text("go.mod")), nil)
	if err != nil {
		return []string{err.Error()}
	}
	var findings []string
	for _, replacement := range file.Replace {
		findings = append(findings, fmt.Sprintf("go.mod: replaces %s; depend on a release of it", replacement.Old.Path))
	}
	return findings
}

// dependencyRow is a row of the table of dependencies: the module in backquotes, then the reason.
func dependencyRow() *regexp.Regexp { return regexp.MustCompile("(?m)^\\| `([^`]+)` \\|(.*)\\|$") }

// Dependencies compares the direct requirements of the main module with the table in document: each must be there with
// a reason, and nothing else may be.
func Dependencies(t *Tree, document string) []string {
	file, err := modfile.Parse("go.mod", []byte(t.text("go.mod")), nil)
	if err != nil {
		return []string{err.Error()}
	}
	reasons := map[string]string{}
	for _, row := range dependencyRow().FindAllStringSubmatch(t.text(document), -1) {
		reasons[row[1]] = strings.Trim(row[2], " |")
	}
	var findings []string
	for _, requirement := range file.Require {
		if requirement.Indirect {
			continue
		}
		if reasons[requirement.Mod.Path] == "" {
			findings = append(findings, fmt.Sprintf("%s: no reason for %s, which go.mod requires", document, requirement.Mod.Path))
		}
		delete(reasons, requirement.Mod.Path)
	}
	for _, unused := range slices.Sorted(maps.Keys(reasons)) {
		findings = append(findings, fmt.Sprintf("%s: names %s, which go.mod does not require directly", document, unused))
	}
	return findings
}

// Ban says that a program must not link a package, and why.
type Ban struct {
	// Prefix is an import path; packages below it are meant as well.
	Prefix string
	// Reason completes the sentence "it must not be linked: …".
	Reason string
}

// Linked finds banned packages among deps, the import paths of everything that program links. Of the packages of this
// module, only those in own are allowed.
func Linked(program string, deps []string, bans []Ban, own []string) []string {
	if len(deps) == 0 {
		return []string{program + ": links nothing at all; the list of its packages was not made"}
	}
	var findings []string
	for _, dep := range deps {
		for _, ban := range bans {
			if dep == ban.Prefix || strings.HasPrefix(dep, ban.Prefix+"/") {
				findings = append(findings, fmt.Sprintf("%s: links %s: %s", program, dep, ban.Reason))
			}
		}
		if local, found := strings.CutPrefix(dep, Module+"/"); found && !slices.Contains(own, local) {
			findings = append(findings, fmt.Sprintf("%s: links %s, which is not in the list of what a client may link", program, local))
		}
	}
	return findings
}
