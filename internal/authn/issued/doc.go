// Package issued accepts the credentials that Ostiary issued itself: client certificates, and tokens that are bound to one.
//
// It trusts the book of sessions and credentials, which the ledger's store feeds, and the issuing keys in it that the root
// signed. It proves that the caller holds the key of a certificate that was put on record before it was signed, byte for byte,
// and whose session is open. Whom it is for comes from the session. It does not prove that the owner is still at the provider:
// that is asked at each renewal.
//
// A certificate that a real issuing key signed and that nobody put on record is a forgery: whoever made it has the key. It is
// refused and reported. Revocation reaches these credentials by the ledger, like all others, and by the end of their session.
package issued
