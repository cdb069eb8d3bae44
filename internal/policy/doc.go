// Package policy judges accepted credentials: the one place, for all mechanisms and all ways in, where a credential that
// its mechanism has verified is refused or becomes the identity that is handed on.
//
// Admit asks, in this order, and the first refusal is the answer:
//
//  1. Is the mechanism known? One without rules is refused.
//  2. Does the request come from a network that the mechanism is allowed from (G-20)?
//  3. Has the credential expired by now? Whatever a mechanism caches, nothing outlives its credential.
//  4. Is it shut out by a revocation, as the ledger has it (G-02, G-05, G-07, G-22)?
//  5. Was the credential issued for longer than the mechanism may be (G-06, G-27)?
//  6. Does it carry names that belong to Kubernetes, and is not allowed to?
//  7. What do the group rules make of its groups (G-11, G-21)?
//  8. Can the result be handed on at all (GW-4)?
//  9. system:authenticated is added last, by Kubernetes' own rule (GRP-1 to GRP-3).
//
// Names are judged before the group rules: what a rule adds was written by the operator and is taken as it stands,
// names of Kubernetes' own included.
//
// Where it differs from kube-apiserver, it refuses more: kube-apiserver has none of 2, 4, 5 and 6 and knows no limits of
// names, since it hands no one on. Empty groups (X509-8, FILE-3, OIDC-14), which kube-apiserver keeps, and extra keys
// without values are dropped, because they vanish between a gateway and the cluster anyway (GW-4).
//
// A Policy never changes. The answer to 5 to 9 depends on the credential, the policy and the cluster only, and is
// remembered, so that a credential seen before costs two comparisons and a look-up.
package policy
