// Package tokenreview is the webhook that API servers ask about bearer tokens (spec sections 12 and 18, G-28): the same
// mechanisms and policies as at the gate, for clusters that people reach directly.
//
// An API server is known by its client certificate, and by nothing that it says. A bad token is answered with 200 and
// "authenticated": false, never with a reason: the answer of any other status would be thrown away, and a reason would
// help whoever guesses. A technical failure carries a fixed error text, since kube-apiserver remembers an answer without
// one as a refusal (CACHE-5).
package tokenreview
