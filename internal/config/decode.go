package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// MaxConfigurationBytes bounds the configuration file. The largest one that we could think of, a thousand clusters with
// inline AuthenticationConfiguration, stays below it.
const MaxConfigurationBytes = 4 << 20

// maxDepth bounds how deep values are nested, so that hostile input cannot exhaust the stack. Configuration itself
// needs 6; the CEL-free AuthenticationConfiguration inside it 8 more.
const maxDepth = 64

// document is a configuration file after decoding.
type document struct {
	written Configuration
	// mistakes of form: duplicate and unknown fields, wrong types.
	mistakes []Mistake
	// broken are the paths whose values could not be taken over, so that nothing else is said about them.
	broken []string
	lines  map[string]int
}

// decode reads one YAML document strictly. It goes on after a mistake as far as it can, so that the mistakes of
// meaning can be reported together with those of form.
func decode(data []byte) document {
	var doc document
	refuse := func(format string, args ...any) document {
		doc.mistakes = append(doc.mistakes, Mistake{Message: fmt.Sprintf(format, args...)})
		doc.broken = append(doc.broken, "")
		return doc
	}
	if len(data) > MaxConfigurationBytes {
		return refuse("is larger than %d bytes, more than any configuration needs", MaxConfigurationBytes)
	}
	root, err := singleDocument(data)
	if err != nil {
		return refuse("%s", err)
	}
	doc.lines = lineNumbers(root)

	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		doc.mistakes = append(doc.mistakes, yamlMistakes(err)...)
		if asJSON, err = yaml.YAMLToJSON(data); err != nil {
			doc.broken = append(doc.broken, "")
			return doc
		}
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return refuse("is not a YAML mapping: %s", err)
	}
	shape := shapeChecker{}
	tree = shape.value(nil, tree, reflect.TypeFor[Configuration](), 0)
	doc.mistakes = append(doc.mistakes, doc.located(shape.mistakes)...)
	for _, mistake := range shape.mistakes {
		if mistake.Type != field.ErrorTypeForbidden { // an unknown field does not hide what is known
			doc.broken = append(doc.broken, mistake.Field)
		}
	}
	if asJSON, err = json.Marshal(tree); err != nil {
		return refuse("cannot be decoded: %s", err)
	}
	// Nothing is left to complain about for the strict decoder; it is the one that the promise of strictness rests on.
	strict, err := strictjson.UnmarshalStrict(asJSON, &doc.written)
	if err = errors.Join(append(strict, err)...); err != nil {
		return refuse("cannot be decoded: %s", err)
	}
	return doc
}

// located turns field errors into mistakes and adds the line that each is on.
func (d *document) located(errs field.ErrorList) []Mistake {
	mistakes := make([]Mistake, 0, len(errs))
	for _, e := range errs {
		path := e.Field
		if path == (*field.Path)(nil).String() {
			path = "" // the file as a whole
		}
		mistakes = append(mistakes, Mistake{Path: path, Line: d.line(path), Message: e.ErrorBody()})
	}
	return mistakes
}

// line finds the line of path, or of the nearest thing around it that is written in the file.
func (d *document) line(path string) int {
	for path != "" {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// singleDocument parses data as exactly one YAML document. The YAML to JSON conversion would silently ignore all but
// the first one.
func singleDocument(data []byte) (*yamlnode.Node, error) {
	decoder := yamlnode.NewDecoder(bytes.NewReader(data))
	var root, next yamlnode.Node
	err := decoder.Decode(&root)
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("is empty; a configuration starts with \"apiVersion: %s\" and \"kind: %s\"", APIVersion, Kind)
	case err != nil:
		return nil, fmt.Errorf("is not YAML: %s", yamlText(err))
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document; write one configuration in one file, without \"---\" in between")
	}
	return &root, nil
}

// yamlText takes the library's own name out of its messages.
func yamlText(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: "), "yaml: ")
}

// yamlMistakes takes apart the list of duplicate keys that the YAML decoder returns as one error.
func yamlMistakes(err error) []Mistake {
	text, isList := strings.CutPrefix(yamlText(err), "unmarshal errors:\n")
	if !isList {
		return []Mistake{{Message: "is not valid YAML: " + text}}
	}
	var mistakes []Mistake
	for message := range strings.SplitSeq(text, "\n") {
		message = strings.TrimSpace(message)
		var line int
		if _, err := fmt.Sscanf(message, "line %d: ", &line); err == nil {
			_, message, _ = strings.Cut(message, ": ")
		}
		mistakes = append(mistakes, Mistake{Line: line, Message: "Duplicate field: " + message + "; write each field once"})
	}
	return mistakes
}

// lineNumbers maps the path of every value to the line where it, or its key, is written.
func lineNumbers(root *yamlnode.Node) map[string]int {
	lines := map[string]int{}
	var walk func(path *field.Path, node *yamlnode.Node, depth int)
	walk = func(path *field.Path, node *yamlnode.Node, depth int) {
		if depth > maxDepth { // also ends aliases that contain themselves
			return
		}
		switch node.Kind {
		case yamlnode.DocumentNode:
			for _, child := range node.Content {
				walk(path, child, depth+1)
			}
		case yamlnode.MappingNode:
			for i := 0; i+1 < len(node.Content); i += 2 {
				child := path.Child(node.Content[i].Value)
				lines[child.String()] = node.Content[i].Line
				walk(child, node.Content[i+1], depth+1)
			}
		case yamlnode.SequenceNode:
			for i, element := range node.Content {
				child := path.Index(i)
				lines[child.String()] = element.Line
				walk(child, element, depth+1)
			}
		case yamlnode.ScalarNode, yamlnode.AliasNode:
			// Aliased values are reported at the line of their key.
		}
	}
	walk(nil, root, 0)
	return lines
}
