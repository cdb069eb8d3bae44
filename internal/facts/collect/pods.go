package collect

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/ostiary/ostiary/internal/facts"
)

// kubeletAsksFor is the lifetime of the token that a pod gets without asking, in seconds (ServiceAccount admission).
const kubeletAsksFor = 3607

// podTokens looks at every pod for the tokens that it gets, where that was asked for. Of a pod nothing else is kept.
func (g *Gatherer) podTokens(ctx context.Context, what *Live) {
	if !what.ScanPods {
		return
	}
	byAccount := map[[2]string]*facts.PodTokens{}
	var projected []facts.ProjectedToken
	total := 0
	requests, err := list(ctx, what.API, Question{Path: "/api/v1/pods"}, func(pod *corev1.Pod) {
		if pod == nil {
			clear(byAccount)
			projected, total = nil, 0
			return
		}
		total++
		key := [2]string{pod.Namespace, pod.Spec.ServiceAccountName}
		of := byAccount[key]
		if of == nil {
			of = &facts.PodTokens{Namespace: pod.Namespace, Account: pod.Spec.ServiceAccountName}
			byAccount[key] = of
		}
		tokens := tokensOf(pod)
		if slices.ContainsFunc(tokens, func(t facts.ProjectedToken) bool { return t.Seconds == kubeletAsksFor && t.Audience == "" }) {
			of.Mounted++
			if of.Example == "" || pod.Name < of.Example {
				of.Example = pod.Name
			}
		} else {
			of.Without++
		}
		for _, token := range tokens {
			if token.Seconds != kubeletAsksFor {
				projected = append(projected, token)
			}
		}
	})
	if err != nil {
		g.refused(facts.SourcePods, err, "list pods")
		return
	}
	for _, of := range byAccount {
		g.found.PodTokens = append(g.found.PodTokens, *of)
	}
	slices.SortFunc(g.found.PodTokens, func(a, b facts.PodTokens) int {
		return slices.Compare([]string{a.Namespace, a.Account}, []string{b.Namespace, b.Account})
	})
	g.found.ProjectedTokens = projected
	g.found.Note(facts.SourceStatus{Source: facts.SourcePods, State: facts.Read, Count: total, Requests: requests})
}

func tokensOf(pod *corev1.Pod) []facts.ProjectedToken {
	var all []facts.ProjectedToken
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			token := source.ServiceAccountToken
			if token == nil {
				continue
			}
			one := facts.ProjectedToken{Namespace: pod.Namespace, Pod: pod.Name, Volume: volume.Name, Audience: token.Audience, Seconds: 3600} //nolint:mnd // Kubernetes' default
			if token.ExpirationSeconds != nil {
				one.Seconds = *token.ExpirationSeconds
			}
			all = append(all, one)
		}
	}
	return all
}
