// Package hardening judges a cluster's authentication against Kubernetes' hardening guide: one check a file, in the
// ordered list of checks.go. Checks look at facts and at nothing else, so that a snapshot is judged as the cluster was.
//
// What was not seen is unknown and never passes. A check passes only by saying what it saw, and not at all where one of
// the sources that it needs was not read as a whole. Findings name what they are about and how good the evidence is;
// they never repeat a secret, as facts hold none.
//
// The ids are those of the project's catalogue of checks: the letters name the mechanism, see Mechanism.
package hardening
