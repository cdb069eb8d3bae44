// Package statictoken accepts the tokens of a static token file, the CSV that kube-apiserver reads with
// --token-auth-file (FILE-1 to FILE-6).
//
// What it proves: the caller knows a token of the file. Who the caller is, stands beside the token.
//
// What it trusts: whoever can write the file can be anyone. Whoever can read it learns names and groups, and the tokens
// only where they stand in clear text, which has to be allowed explicitly (G-12).
//
// What it does not prove: that the caller is the person named. A token has no owner, no expiry and no binding to a
// connection; it works until its line is removed, or its credential id is revoked.
//
// How revocation reaches it: every entry has a credential id, STATIC=<id>, that is unrelated to the token. The id of a
// hashed entry is random and moves with its line; the id of a clear-text entry is its user's name and count, hence it
// changes when an earlier line of the same user goes.
//
// A change of the file becomes a new Table and a new Mechanism (G-13); neither is ever changed. A file that cannot be
// parsed yields no Table, so that whoever reloads keeps the last good one.
package statictoken
