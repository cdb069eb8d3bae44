package collect

import (
	"context"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/ostiary/ostiary/internal/facts"
)

// extension reads the CAs and headers that the API servers go by, which they write down themselves.
func (g *Gatherer) extension(ctx context.Context, what *Live) {
	const needs = "get the ConfigMap extension-apiserver-authentication in kube-system (Role extension-apiserver-authentication-reader)"
	data, err := configMap(ctx, what.API, "extension-apiserver-authentication")
	if err != nil {
		g.refused(facts.SourceExtension, err, needs)
		return
	}
	described, err := describeExtension(data)
	if err != nil {
		g.note(facts.SourceExtension, facts.Unreadable, 0, err.Error(), needs)
		return
	}
	g.found.Extension = described
	g.note(facts.SourceExtension, facts.Read, 1, "", "")
}

func describeExtension(data map[string]string) (*facts.Extension, error) {
	described := &facts.Extension{}
	var err error
	if bundle := data["client-ca-file"]; bundle != "" {
		if described.ClientCAs, err = Certificates([]byte(bundle)); err != nil {
			return nil, fmt.Errorf("client-ca-file %w", err)
		}
	}
	bundle, ok := data["requestheader-client-ca-file"]
	if !ok || bundle == "" {
		return described, nil
	}
	described.HasRequestHeader = true
	if described.RequestHeaderCAs, err = Certificates([]byte(bundle)); err != nil {
		return nil, fmt.Errorf("requestheader-client-ca-file %w", err)
	}
	for key, into := range map[string]*[]string{
		"requestheader-allowed-names":        &described.AllowedNames,
		"requestheader-username-headers":     &described.UsernameHeaders,
		"requestheader-uid-headers":          &described.UIDHeaders,
		"requestheader-group-headers":        &described.GroupHeaders,
		"requestheader-extra-headers-prefix": &described.ExtraPrefixes,
	} {
		if data[key] == "" {
			continue
		}
		if err := json.Unmarshal([]byte(data[key]), into); err != nil {
			return nil, fmt.Errorf("%s is no list: %w", key, err)
		}
	}
	return described, nil
}

// awsAuth reads the list by which EKS lets cloud principals in.
func (g *Gatherer) awsAuth(ctx context.Context, what *Live) {
	data, err := configMap(ctx, what.API, "aws-auth")
	if err != nil {
		g.refused(facts.SourceAWSAuth, err, "get the ConfigMap aws-auth in kube-system")
		return
	}
	type entry struct {
		RoleARN  string   `json:"rolearn"`
		UserARN  string   `json:"userarn"`
		Username string   `json:"username"`
		Groups   []string `json:"groups"`
	}
	for _, key := range []string{"mapRoles", "mapUsers"} {
		var entries []entry
		if err := yaml.Unmarshal([]byte(data[key]), &entries); err != nil {
			g.note(facts.SourceAWSAuth, facts.Unreadable, 0, fmt.Sprintf("%s cannot be read: %v", key, err), "an aws-auth that EKS understands")
			return
		}
		for _, e := range entries {
			g.found.MappedPrincipals = append(g.found.MappedPrincipals, facts.MappedPrincipal{
				Principal: e.RoleARN + e.UserARN, Username: e.Username, Groups: e.Groups,
			})
		}
	}
	g.note(facts.SourceAWSAuth, facts.Read, len(g.found.MappedPrincipals), "", "")
}
