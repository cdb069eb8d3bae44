// Package power says what an identity may do by RBAC, and whether that amounts to the whole cluster.
//
// The answer is computed from four lists (Roles, ClusterRoles and their bindings) and asks the API server nothing, so that
// it can be given for every credential of a large cluster at once, and for a snapshot. Allows decides one request exactly
// as kube-apiserver's RBAC authorizer does; an end-to-end test compares it with a real one's SubjectAccessReviews over
// hundreds of random policies.
//
// Of goes on from there: it looks for the ways in which rights lead to more rights, such as reading the token of a
// stronger ServiceAccount, running a pod as it, or approving a certificate for somebody else, and follows them from
// account to account. Each is told with the binding that gives it. Kubernetes' own page "RBAC Good Practices" lists them
// as escalation risks.
//
// What it cannot see: other authorizers (webhooks, ABAC), which may allow more, and admission, which may forbid what RBAC
// allows. The first makes the answer a lower bound, the second a careful one. The Node authorizer is told of, not computed.
package power
