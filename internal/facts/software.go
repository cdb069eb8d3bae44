package facts

// Software is what answers at the address of a provider or a webhook: who can change it can be anyone.
type Software struct {
	// Host is the address's, as the API server's configuration has it; Purpose is "provider" or "webhook".
	Host    string `json:"host"`
	Purpose string `json:"purpose"`
	// Namespace and Service are the cluster's own Service that answers there; empty where none is known to.
	Namespace string `json:"namespace,omitempty"`
	Service   string `json:"service,omitempty"`
	// Found says by what the Service was found: its name, its address, or an Ingress.
	Found string `json:"found,omitempty"`
	// Pods are those behind the Service.
	Pods []SoftwarePod `json:"pods,omitempty"`
	// Neighbours are pods of the same namespace that are not behind the Service, nor of its account.
	Neighbours []string `json:"neighbours,omitempty"`
	// NodeNeighbours are pods of other namespaces on its nodes, without those of kube-system.
	NodeNeighbours []string `json:"nodeNeighbours,omitempty"`
	// Guarded says that a NetworkPolicy limits who may reach every one of the pods.
	Guarded bool `json:"guarded,omitempty"`
	// Tainted says that every node that it runs on keeps other pods off.
	Tainted bool `json:"tainted,omitempty"`
}

// SoftwarePod is a pod behind such an address.
type SoftwarePod struct {
	Name    string `json:"name"`
	Account string `json:"account,omitempty"`
	Node    string `json:"node,omitempty"`
}

// PodTokens are the pods of one account, by how they come by tokens.
type PodTokens struct {
	Namespace string `json:"namespace"`
	Account   string `json:"account"`
	// Mounted is how many pods have a token without asking for it (automountServiceAccountToken).
	Mounted int `json:"mounted,omitempty"`
	// Without is how many have none.
	Without int `json:"without,omitempty"`
	// Example is one pod with a token.
	Example string `json:"example,omitempty"`
}

// ProjectedToken is a token that a pod asks for in a volume.
type ProjectedToken struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Volume    string `json:"volume"`
	Audience  string `json:"audience,omitempty"`
	Seconds   int64  `json:"seconds"`
}

// Gate is the gateway in front of the API servers.
type Gate struct {
	// Cluster is the name that a gate of this project has for the cluster; empty where the server asked is none.
	Cluster string `json:"cluster,omitempty"`
	// Addresses are those from which the gate asks the API servers, as its operator names them.
	Addresses []string `json:"addresses,omitempty"`
}
