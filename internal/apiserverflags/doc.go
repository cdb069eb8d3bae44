// Package apiserverflags reads the flags of a kube-apiserver from what people have at hand: a static pod's manifest, a
// kubeadm configuration, the ConfigMap that kubeadm keeps it in, a list of flags, or the answer of /flagz.
//
// Flags are read with the library that kube-apiserver reads them with, so that repetition and spelling mean the same.
package apiserverflags
