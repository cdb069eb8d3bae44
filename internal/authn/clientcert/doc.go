// Package clientcert accepts X.509 client certificates by Kubernetes' rules (X509-1 to X509-12).
//
// It trusts: that TLS proved possession of the certificate's private key, which Go's TLS 1.2 and 1.3 servers do before
// any request is read, and the CAs it was given, for client authentication only.
//
// It proves: the subject's common name, organizations and UID attribute, as the CA signed them.
//
// It does not prove that the certificate is still wanted: X.509 in Kubernetes knows no revocation. Revocation reaches
// it through the credential id, which is the SHA-256 of the certificate, looked up on every request after this package
// answered.
//
// The chain is verified once per connection and CA generation, and the verdict remembered on the connection together
// with the time in which it holds: a certificate that expires during a connection is refused with the next request, a
// CA that is swapped takes effect with the next request, and a resumed TLS session, which carries its certificates
// along without verifying them, is verified like any other connection.
package clientcert
