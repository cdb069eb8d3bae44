// Package ledger keeps what may not be forgotten about credentials: that they exist, and that they count no longer.
//
// What is here is the port to where that is kept. Its promises are those that revocation needs: transactions that are
// written as a whole or not at all, revisions that order them without a clock, changes handed on whole and in that order,
// and reads that see every transaction committed before them. docs/adr/0005-ledger.md says what is built on them, and why.
package ledger
