package collect

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/facts"
)

// encryption describes a file of kind EncryptionConfiguration (apiserver.config.k8s.io). Its keys are not looked at, and
// its errors repeat nothing of it.
func encryption(data []byte) (*facts.Encryption, error) {
	var parsed struct {
		Kind      string `json:"kind"`
		Resources []struct {
			Resources []string         `json:"resources"`
			Providers []map[string]any `json:"providers"`
		} `json:"resources"`
	}
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		return nil, errors.New("it is no EncryptionConfiguration: not the YAML of one")
	}
	if parsed.Kind != "EncryptionConfiguration" {
		return nil, fmt.Errorf("it is %q, not an EncryptionConfiguration", parsed.Kind)
	}
	described := &facts.Encryption{}
	for _, group := range parsed.Resources {
		// The first group that names Secrets counts (encryptionconfig.go).
		if !slices.ContainsFunc(group.Resources, func(name string) bool { return name == "secrets" || name == "*." || name == "*.*" }) {
			continue
		}
		for _, provider := range group.Providers {
			described.Secrets = append(described.Secrets, slices.Sorted(maps.Keys(provider))...)
		}
		break
	}
	return described, nil
}
