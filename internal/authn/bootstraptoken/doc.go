// Package bootstraptoken accepts the tokens with which machines join a cluster (spec section 8): those of the cluster's
// own Secrets, or those of a file that holds hashes. Of either, only a digest of the secret part is kept in memory.
//
// What such a token may be used for is not judged here but by policy (G-16).
package bootstraptoken
