package binaries

// Program is a program that this package builds. The zero value names none.
type Program string

// The programs.
const (
	KubeAPIServer         Program = "kube-apiserver"
	KubeControllerManager Program = "kube-controller-manager"
	Kubectl               Program = "kubectl"
	Etcd                  Program = "etcd"
	Ostiary               Program = "ostiary"
	KubectlOstiary        Program = "kubectl-ostiary"
	// Helm and K9s are built from modules of their own, below e2e/programs: what they require differs from what Kubernetes does.
	Helm Program = "helm"
	K9s  Program = "k9s"
)

// ControlPlane is what a control plane and its command line need.
func ControlPlane() []Program {
	return []Program{KubeAPIServer, KubeControllerManager, Kubectl, Etcd}
}

// All is every program but Helm and K9s, which one package alone needs.
func All() []Program { return append(ControlPlane(), Ostiary, KubectlOstiary) }

// source says where a program comes from. Programs of one group are built by one go command.
type source struct {
	group   group
	pkg     string
	builtAs string // what "go build" calls the file
}

// group is one call of the go command: one module to run it in and one set of flags.
type group int

const (
	kubernetesGroup group = iota + 1
	etcdGroup
	ostiaryGroup
	helmGroup
	k9sGroup
)

// groups are all groups, in the order in which they are built.
func groups() []group {
	return []group{etcdGroup, kubernetesGroup, ostiaryGroup, helmGroup, k9sGroup}
}

// sources is the one list of what can be built.
func sources() map[Program]source {
	return map[Program]source{
		KubeAPIServer:         {kubernetesGroup, "k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"},
		KubeControllerManager: {kubernetesGroup, "k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"},
		Kubectl:               {kubernetesGroup, "k8s.io/kubernetes/cmd/kubectl", "kubectl"},
		Etcd:                  {etcdGroup, "go.etcd.io/etcd/server/v3", "server"},
		Ostiary:               {ostiaryGroup, "./cmd/ostiary", "ostiary"},
		KubectlOstiary:        {ostiaryGroup, "./cmd/kubectl-ostiary", "kubectl-ostiary"},
		Helm:                  {helmGroup, "helm.sh/helm/v4/cmd/helm", "helm"},
		K9s:                   {k9sGroup, "github.com/derailed/k9s", "k9s"},
	}
}
