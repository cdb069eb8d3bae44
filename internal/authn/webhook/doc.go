// Package webhook asks a TokenReview service about bearer tokens (spec section 12), by Kubernetes' own client: the same
// kubeconfig, versions, repetitions, audiences and cache. What it adds is what keeps a sick or hostile service from hurting
// the gate (G-28): a deadline, a bound on questions under way, a circuit breaker, a bound on answers, and no redirects,
// which would take the token elsewhere.
package webhook
