// Package registrar puts on record what Ostiary is about to issue, and then issues it: what is not on record is never signed, and
// what is not signed opens nothing, wherever a process ends between the two. It begins, renews and ends the sessions that
// credentials belong to.
package registrar
