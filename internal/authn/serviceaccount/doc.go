// Package serviceaccount accepts the tokens of one cluster's ServiceAccounts: those that are kept in Secrets (spec section
// 9) and those that were requested for a time and an audience (section 10).
//
// Signature, claims and times are judged here, with the library that Kubernetes judges them with. Only a token that passes
// is shown to the cluster, by a TokenReview: whether the account, Secret, pod or node is still there is for the cluster to
// say, and needs no right to read any of them. Its answer is kept for ten seconds at most, as in Kubernetes itself.
package serviceaccount
