// Package decisions_test compares Ostiary with kube-apiserver itself, decision by decision. One kube-apiserver, the
// reference, authenticates by itself. Gates in both identity modes have the same configuration and stand in front of
// another kube-apiserver that knows no caller of its own, so that whoever gets through was let in by the gate alone.
// Each row of a table is one request, sent byte for byte the same to the reference and to each gate; SelfSubjectReview
// tells who the caller was taken for.
//
// The name of a row starts with the id of the rule that it shows. A row whose outcomes are not equal names the row of
// docs/differences.md that says why, and fails as soon as the two servers agree.
package decisions_test
