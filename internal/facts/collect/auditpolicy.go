package collect

import (
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/facts"
)

// auditPolicy describes a file of kind Policy (audit.k8s.io/v1).
func auditPolicy(data []byte) (*facts.AuditPolicy, error) {
	var parsed struct {
		Kind       string   `json:"kind"`
		OmitStages []string `json:"omitStages"`
		Rules      []struct {
			Level      string   `json:"level"`
			OmitStages []string `json:"omitStages"`
			Verbs      []string `json:"verbs"`
			Users      []string `json:"users"`
			UserGroups []string `json:"userGroups"`
			Namespaces []string `json:"namespaces"`
			Resources  []struct {
				Group     string   `json:"group"`
				Resources []string `json:"resources"`
			} `json:"resources"`
			NonResourceURLs []string `json:"nonResourceURLs"`
		} `json:"rules"`
	}
	if err := yaml.Unmarshal(data, &parsed); err != nil {
		return nil, fmt.Errorf("it is no audit policy: %w", err)
	}
	if parsed.Kind != "Policy" {
		return nil, fmt.Errorf("it is %q, not an audit policy", parsed.Kind)
	}
	described := &facts.AuditPolicy{}
	for _, from := range parsed.Rules {
		rule := facts.AuditRule{
			Level: from.Level, Verbs: from.Verbs, Users: from.Users, Groups: from.UserGroups, Namespaces: from.Namespaces, NonResourceURLs: from.NonResourceURLs,
		}
		if slices.Contains(slices.Concat(parsed.OmitStages, from.OmitStages), "ResponseComplete") {
			rule.Level = "None" // the stage that says how a request ended
		}
		for _, group := range from.Resources {
			names := group.Resources
			if len(names) == 0 {
				names = []string{"*"} // all of the group
			}
			for _, name := range names {
				rule.Resources = append(rule.Resources, group.Group+"/"+name)
			}
		}
		described.Rules = append(described.Rules, rule)
	}
	return described, nil
}
