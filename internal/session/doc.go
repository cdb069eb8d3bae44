// Package session knows who signed in, and what Ostiary issued to whom: it is the memory by which the gate accepts credentials
// of its own.
//
// A Session says who somebody is and until when; a Credential belongs to one, and is a certificate or a token. Both stand in the
// ledger's store, and a Book holds all of them in memory at every replica, told of changes by the ledger's one watch. A
// credential counts only while it stands here, its session is open, and the ledger does not shut it out: a signature alone,
// even of the real key, opens nothing.
package session
