// Package issuer is Ostiary's own certificate authority, which Ostiary alone trusts: it must never be given to an API server
// (--client-ca-file), where its certificates could not be shut out before their time.
//
// A root, made once by an operator, signs an issuing key for each process, which lives in its memory for a week at most. An
// issuing key signs what clients present. What is in a certificate is settled here, in code: of a client's request the public
// key is taken, after its proof of possession and its strength were checked, and nothing else. Who the owner is, and in which
// groups, is not in the certificate but in its session, so that a change counts at once.
//
// A certificate is made in steps, so that it can be put on record before it exists: Draft builds and examines exactly the
// bytes that are going to be signed, the caller commits their digest, and Sign signs them. Keys of other kinds (a TPM, PKCS#11,
// a KMS) need no more than a crypto.Signer.
package issuer
