// Package fromapiserver writes an Ostiary configuration that accepts the credentials a kube-apiserver accepts. It reads
// what people have at hand: a static pod's manifest, a kubeadm configuration, or the flags themselves.
//
// Flags are read with the libraries that kube-apiserver reads them with, so that defaults, repetition and spelling mean
// the same. Nothing is guessed in silence: what cannot be taken over, or only differently, is a warning, and where a
// guess is needed the comment beside it says so.
package fromapiserver
