package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	yamlnode "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// YAML writes the configuration in the order in which this package documents it. Each comment is put above the field at
// its path, for example "clusters[0].server", or above the whole for the path "". A comment whose path does not exist is
// an error, so that no warning gets lost. What YAML returns is what Load reads.
func (c *Configuration) YAML(comments map[string]string) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	w := yamlWriter{comments: comments, used: map[string]bool{}}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	root, err := w.node(nil, decoder)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	for path := range comments {
		if path != "" && !w.used[path] {
			return nil, fmt.Errorf("encoding the configuration: there is no field %q to put a comment above", path)
		}
	}
	document := &yamlnode.Node{Kind: yamlnode.DocumentNode, HeadComment: comments[""], Content: []*yamlnode.Node{root}}
	var out bytes.Buffer
	encoder := yamlnode.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(document), encoder.Close()); err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return out.Bytes(), nil
}

// yamlWriter turns JSON into YAML nodes, keeping the order of fields, which the libraries that go through maps lose.
type yamlWriter struct {
	comments map[string]string
	used     map[string]bool
}

func (w *yamlWriter) node(p *field.Path, decoder *json.Decoder) (*yamlnode.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch value := token.(type) {
	case json.Delim:
		if value == '[' {
			return w.sequence(p, decoder)
		}
		return w.mapping(p, decoder)
	case string:
		return stringNode(value), nil
	case json.Number:
		tag := "!!int"
		if _, err := value.Int64(); err != nil {
			tag = "!!float"
		}
		return scalar(tag, value.String()), nil
	case bool:
		return scalar("!!bool", fmt.Sprint(value)), nil
	default:
		return scalar("!!null", "null"), nil
	}
}

func scalar(tag, value string) *yamlnode.Node {
	return &yamlnode.Node{Kind: yamlnode.ScalarNode, Tag: tag, Value: value}
}

// stringNode quotes what the reader, which speaks YAML 1.1, would take for something else, such as no and 0x1.
func stringNode(value string) *yamlnode.Node {
	node := scalar("!!str", value)
	var reread any
	if err := yaml.Unmarshal([]byte(value), &reread); err != nil || reread != value {
		node.Style = yamlnode.DoubleQuotedStyle
		if strings.Contains(value, "\n") {
			node.Style = 0 // the encoder chooses the block form where it can, and quotes otherwise
		}
	}
	return node
}

func (w *yamlWriter) sequence(p *field.Path, decoder *json.Decoder) (*yamlnode.Node, error) {
	sequence := &yamlnode.Node{Kind: yamlnode.SequenceNode, Tag: "!!seq"}
	for i := 0; decoder.More(); i++ {
		at := p.Index(i)
		element, err := w.node(at, decoder)
		if err != nil {
			return nil, err
		}
		w.comment(at, element)
		sequence.Content = append(sequence.Content, element)
	}
	if len(sequence.Content) == 0 {
		sequence.Style = yamlnode.FlowStyle
	}
	_, err := decoder.Token() // the closing bracket
	return sequence, err
}

func (w *yamlWriter) mapping(p *field.Path, decoder *json.Decoder) (*yamlnode.Node, error) {
	mapping := &yamlnode.Node{Kind: yamlnode.MappingNode, Tag: "!!map"}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("unexpected %v for a field name", token)
		}
		at := p.Child(name)
		key := stringNode(name)
		w.comment(at, key)
		value, err := w.node(at, decoder)
		if err != nil {
			return nil, err
		}
		mapping.Content = append(mapping.Content, key, value)
	}
	if len(mapping.Content) == 0 {
		mapping.Style = yamlnode.FlowStyle
	}
	_, err := decoder.Token() // the closing brace
	return mapping, err
}

func (w *yamlWriter) comment(p *field.Path, node *yamlnode.Node) {
	if text, ok := w.comments[p.String()]; ok {
		node.HeadComment = text
		w.used[p.String()] = true
	}
}
