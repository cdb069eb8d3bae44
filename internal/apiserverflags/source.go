package apiserverflags

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	yamlnode "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// MaxInputBytes bounds what is read. Manifests and flag lists are a few kilobytes.
const MaxInputBytes = 1 << 20

// Source is a kube-apiserver's flags, wherever they were found.
type Source struct {
	// What the input is, for people.
	What string
	// Args are the flags, as they were written.
	Args []string
	// mounts translate file names inside the API server's container to those of its host; nil means that there is no
	// container, or none that is known.
	mounts []mount
	// Shell says that a shell would have expanded variables in the flags; otherwise the kubelet would have.
	Shell bool
	// ClusterName is the cluster's name where the input has one.
	ClusterName string
	// Endpoint is where clients reach the API server, where the input says so besides the flags.
	Endpoint string
	// Certificates is kubeadm's folder of certificates, where there is one.
	Certificates string
}

// mount is a folder or file of the host in the API server's container.
type mount struct{ container, host string }

// Program is the name of the API server's program.
const Program = "kube-apiserver"

// Read finds out what data is.
func Read(data []byte) (*Source, error) {
	if len(data) > MaxInputBytes {
		return nil, fmt.Errorf("the input is larger than %d bytes; give a manifest, a kubeadm configuration or a list of flags", MaxInputBytes)
	}
	if looksLikeFlags(data) {
		return fromFlags(string(data))
	}
	documents, err := readDocuments(data)
	if err != nil {
		return nil, err
	}
	for _, document := range documents {
		switch document.Kind {
		case "Pod":
			return fromPod(document.raw)
		case "ClusterConfiguration", "InitConfiguration":
			return fromKubeadm(documents)
		case "ConfigMap": // kubectl --namespace kube-system get configmap kubeadm-config --output yaml
			if inner, ok := document.Data["ClusterConfiguration"]; ok {
				documents, err := readDocuments([]byte(inner))
				if err != nil {
					return nil, fmt.Errorf("data.ClusterConfiguration of the ConfigMap: %w", err)
				}
				return fromKubeadm(documents)
			}
		case "":
			if document.list != nil {
				return fromWords("a list of kube-apiserver flags", document.list, false)
			}
		}
	}
	return nil, errors.New("the input is neither the manifest of a kube-apiserver pod (kind: Pod), nor a kubeadm configuration (kind: ClusterConfiguration), nor a list of flags (--client-ca-file=...)")
}

// looksLikeFlags reports whether the first line that is not a comment starts with a flag or the program's name.
func looksLikeFlags(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "ExecStart="), " ")
		return flagStart.MatchString(line) || path.Base(first) == Program
	}
	return false
}

// The patterns are compiled once; they are never changed.
var (
	flagStart = regexp.MustCompile(`^--?[A-Za-z]`)
	// redirection ends the flags in a shell's command line.
	redirection = regexp.MustCompile(`^([0-9]*[<>]|[|&;])`)
)

// fromFlags reads flags as a shell would: blanks and line ends separate, quotes and backslashes keep together.
func fromFlags(text string) (*Source, error) {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, " \t")
		if !strings.HasPrefix(line, "#") {
			kept.WriteString(strings.TrimPrefix(line, "ExecStart="))
		}
	}
	words, err := shellquote.Split(strings.ReplaceAll(kept.String(), "\r\n", "\n"))
	if err != nil {
		return nil, fmt.Errorf("reading the flags as a shell would: %w; close the quotes, or put those that belong to a value in quotes of the other kind", err)
	}
	return fromWords("a list of kube-apiserver flags", words, true)
}

// fromWords takes the flags out of a command line, after the program's name if it is there.
func fromWords(what string, words []string, shell bool) (*Source, error) {
	for i, word := range words {
		if path.Base(word) == Program {
			words = words[i+1:]
			break
		}
	}
	if shell {
		if end := slices.IndexFunc(words, redirection.MatchString); end >= 0 {
			words = words[:end]
		}
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%s holds no flags", what)
	}
	return &Source{What: what, Args: words, Shell: shell}, nil
}

// document is one YAML document: an object of some kind, or a list of words.
type document struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Data       map[string]string `json:"data"`

	raw  []byte
	list []string
}

func readDocuments(data []byte) ([]document, error) {
	var documents []document
	decoder := yamlnode.NewDecoder(bytes.NewReader(data))
	for {
		var node yamlnode.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the input is neither flags nor YAML: %w", err)
		}
		raw, err := yamlnode.Marshal(&node)
		if err != nil {
			return nil, fmt.Errorf("the input cannot be taken apart: %w", err)
		}
		parsed := document{raw: raw}
		// What fits neither is of no kind that we know; Read says so.
		if yaml.Unmarshal(raw, &parsed) != nil {
			parsed = document{raw: raw}
			_ = yaml.Unmarshal(raw, &parsed.list)
		}
		documents = append(documents, parsed)
	}
}
