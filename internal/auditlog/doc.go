// Package auditlog reads audit logs of Kubernetes API servers (audit.k8s.io/v1, a JSON object a line, plain or gzipped)
// for what they tell of credentials: which were used, by whom, from where, when first and last; which tokens and
// certificates were issued, and by whom. It reads a stream of any length in bounded memory, in the order of the stream.
//
// An audit log names a credential by its id where it has one: certificates and tokens with a jti (KEP-4193, since
// Kubernetes 1.30 and 1.32). The issue of a ServiceAccount's token is noted with the id of the new token and with the id
// of the credential that asked for it, so that Record.Chain can follow who made whom. Static tokens, bootstrap tokens,
// webhooks' and proxies' identities have no id, and are told by their user names.
//
// What is in a log was written by API servers, but the log itself may come from anywhere: nothing in it is trusted, a
// line that is too long or broken is counted and left out, and what does not fit into memory is said to be missing.
// Requests' and responses' bodies are looked at for certificates and lifetimes only; tokens are never kept.
package auditlog
