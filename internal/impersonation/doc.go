// Package impersonation owns the Impersonate-* headers, on both sides of the gate.
//
// Towards the client, Screen refuses what has two readings, in either identity mode. Where the gate hands identities on
// by impersonation, the API server sees the gate as the requester, so a caller's own --as must be judged before the
// gate puts its own headers there: Checker does so, with Kubernetes' own code (the constrained modes and the legacy
// one, rules IMP-1 to IMP-15) and SubjectAccessReviews to the very cluster that the request is for.
//
// Towards the cluster, Set strips whatever Impersonate-* headers are left and sets those of the identity that was
// decided. WithOriginal keeps the caller in the extras, so that the cluster's audit log names both.
//
// # What is trusted
//
// The cluster's answers, over the connection that the gate itself trusts, and the requester that authentication
// settled. Nothing else: a review that fails, that is late or that answers "denied" is a refusal, and so is a check
// without a requester or without the request's attributes.
//
// # Freshness
//
// Successes of the constrained modes are remembered for 10 seconds, as kube-apiserver does (IMP-13): a role taken away
// in the cluster works on for so long. Legacy successes are never remembered. Revocations and locks of Ostiary are
// judged before, for every request, and are not affected. The memory belongs to one Checker and thus to one cluster.
//
// # What the gate's own account needs
//
// The gate always names groups, uid and extras, so that the cluster derives exactly the identity that was decided. The
// constrained modes for nodes and ServiceAccounts take a user name only; for those the gate needs the legacy verb
// impersonate, or must not be used by them. Beyond the identities' own parts it needs userextras for the keys of
// OriginalUserExtra and its siblings, and create on subjectaccessreviews. Grant nothing else, and no wildcard on groups:
// whoever may impersonate any group is cluster-admin.
//
// # What this brings into the process
//
// The upstream package registers four metrics in component-base's legacy registry, which nobody sees who does not serve
// that registry, and logs through klog from verbosity 2 upwards. It starts no goroutines and reads no feature gates.
package impersonation
