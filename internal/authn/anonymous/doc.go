// Package anonymous gives callers without a credential the identity system:anonymous (ANON-1), for all paths or for a
// list of them (ANON-4).
//
// It proves nothing. It is asked only when no mechanism saw a credential: a bad credential never ends here (CHAIN-3).
// There is nothing to revoke; taking the section out of the configuration ends it with the next request.
package anonymous
