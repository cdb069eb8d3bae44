package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/ostiary/ostiary/internal/facts"
)

// Live says what to gather from a running cluster.
type Live struct {
	// API is asked with the caller's credential.
	API Asker
	// Anonymous is the same server without any; nil means that it is not asked.
	Anonymous Asker
	// Server is the address, Context the kubeconfig's name for it.
	Server, Context string
	// Replicas are further API servers of the same cluster.
	Replicas []Replica
	// BootstrapValues reads join tokens with their secrets, which are judged and forgotten.
	BootstrapValues bool
	// ScanConfigMaps and ScanSecrets look for credentials in the values of all ConfigMaps and Secrets.
	ScanConfigMaps, ScanSecrets bool
	// ScanPods looks at the specification of every pod for tokens.
	ScanPods bool
}

// Replica is one API server of several.
type Replica struct {
	Name           string
	API, Anonymous Asker
}

// kubeSystem is where a cluster keeps what is its own.
const kubeSystem = "/api/v1/namespaces/kube-system"

// Live gathers from a running cluster. It fails only where the server gives no answer at all or ctx ends; what could not
// be read is in the facts.
func (g *Gatherer) Live(ctx context.Context, what Live) error {
	g.found.Cluster.Server, g.found.Cluster.Context = what.Server, what.Context
	what = g.counting(what)
	g.say("version")
	if err := g.version(ctx, what.API); err != nil {
		return err
	}
	steps := []struct {
		say  string
		read func(context.Context, *Live)
	}{
		{"API servers", g.servers},
		{"metrics", g.metrics},
		{"requests without a credential", g.probes},
		{"authentication of extensions", g.extension},
		{"token tracking", g.tracking},
		{"RBAC", g.rbac},
		{"namespaces", g.namespaces},
		{"nodes", g.nodes},
		{"service accounts", g.accounts},
		{"token Secrets", g.tokenSecrets},
		{"bootstrap tokens", g.bootstrapTokens},
		{"certificate signing requests", g.certificateRequests},
		{"API services", g.apiServices},
		{"mapped principals", g.awsAuth},
		{"software behind providers and webhooks", g.software},
		{"pods", g.podTokens},
		{"values of ConfigMaps and Secrets", g.stored},
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		g.say(step.say)
		step.read(ctx, &what)
	}
	return context.Cause(ctx)
}

// counting is the same with every answer counted.
func (g *Gatherer) counting(what Live) Live {
	count := func(asker Asker) Asker {
		if asker == nil {
			return nil
		}
		return counted{asker, g.found}
	}
	what.API, what.Anonymous = count(what.API), count(what.Anonymous)
	what.Replicas = slices.Clone(what.Replicas)
	for i := range what.Replicas {
		replica := &what.Replicas[i]
		replica.API, replica.Anonymous = count(replica.API), count(replica.Anonymous)
	}
	return what
}

func (g *Gatherer) version(ctx context.Context, api Asker) error {
	body, err := get(ctx, api, Question{Path: "/version"})
	if err != nil && (StatusOf(err) == 0 || StatusOf(err) == http.StatusUnauthorized) {
		return err
	}
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	if err == nil && json.Unmarshal(body, &answer) == nil {
		g.found.Cluster.Version = answer.GitVersion
	}
	return nil
}

// refused records a source that could not be read; not found is an answer of its own.
func (g *Gatherer) refused(source facts.Source, err error, needs string) {
	if StatusOf(err) == http.StatusNotFound {
		g.note(source, facts.Absent, 0, "", "")
		return
	}
	g.note(source, facts.Unreadable, 0, err.Error(), needs)
}

// listInto reads a list as a whole and records how it went. An error leaves nothing in the facts, so that half a list is
// not taken for one.
func listInto[T, F any](ctx context.Context, g *Gatherer, asker Asker, source facts.Source, question Question, needs string,
	describe func(*T) (F, bool),
) (all []F, ok bool) {
	requests, err := list(ctx, asker, question, func(object *T) {
		if object == nil {
			all = nil
			return
		}
		if described, ok := describe(object); ok {
			all = append(all, described)
		}
	})
	if err != nil {
		g.refused(source, err, needs)
		return nil, StatusOf(err) == http.StatusNotFound
	}
	g.found.Note(facts.SourceStatus{Source: source, State: facts.Read, Count: len(all), Requests: requests})
	return all, true
}

// configMap reads the data of one ConfigMap of kube-system.
func configMap(ctx context.Context, asker Asker, name string) (map[string]string, error) {
	body, err := get(ctx, asker, Question{Path: kubeSystem + "/configmaps/" + name})
	if err != nil {
		return nil, err
	}
	var object struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, fmt.Errorf("the ConfigMap %s cannot be read: %w", name, err)
	}
	return object.Data, nil
}

// object reads one object.
func object(ctx context.Context, asker Asker, path string, into any) error {
	body, err := get(ctx, asker, Question{Path: path})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: the answer cannot be read: %w", path, err)
	}
	return nil
}

// inNamespace reads a short list.
func inNamespace[T any](ctx context.Context, asker Asker, path string, query url.Values, into *[]T) error {
	_, err := list(ctx, asker, Question{Path: path, Query: query}, func(o *T) {
		if o == nil {
			*into = nil
			return
		}
		*into = append(*into, *o)
	})
	return err
}

func selector(kind, value string) url.Values { return url.Values{kind: {value}} }
