// Package kubectl is the program kubectl-ostiary, which kubectl runs as "kubectl ostiary": a file per command, a thin
// client of the API server or gate that the current kubeconfig context names. It links no server code; the house test
// of dependencies proves it.
//
// What a server says is shown as it was said and marked as foreign: text that a terminal could take for a command is
// quoted. Redirects are never followed, so that a credential goes to the server that the kubeconfig names and to no
// other.
package kubectl
