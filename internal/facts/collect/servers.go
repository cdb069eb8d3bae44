package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ostiary/ostiary/internal/apiserverflags"
	"github.com/ostiary/ostiary/internal/facts"
)

// flagzAccepts asks for /flagz in its structured forms, the newest first (KEP-4828).
const flagzAccepts = "application/json;g=config.k8s.io;v=v1beta1;as=Flagz,application/json;g=config.k8s.io;v=v1alpha1;as=Flagz"

// programs are those of the control plane whose pods are read, by the label "component" that kubeadm gives them.
const (
	controllerManager = "kube-controller-manager"
	componentLabel    = "component"
)

// servers reads the flags of API servers and controller managers, from all places where they can be seen.
func (g *Gatherer) servers(ctx context.Context, what *Live) {
	var problems []string
	replicas := append([]Replica{{Name: what.Server, API: what.API}}, what.Replicas...)
	for _, replica := range replicas {
		server, err := flagz(ctx, replica)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		g.found.APIServers = append(g.found.APIServers, *server)
	}
	if err := g.pods(ctx, what.API); err != nil {
		problems = append(problems, err.Error())
	}
	kubeadm, err := configMap(ctx, what.API, "kubeadm-config")
	switch {
	case err != nil:
		g.refused(facts.SourceKubeadm, err, "get the ConfigMap kubeadm-config in kube-system")
	default:
		g.kubeadm(kubeadm["ClusterConfiguration"])
	}
	const needs = "get /flagz (group system:monitoring), or list pods in kube-system, or --manifest with the API server's manifest"
	switch {
	case len(g.found.APIServers) > 0 && len(replicas) > 1 && len(problems) > 0:
		g.note(facts.SourceFlags, facts.Partial, len(g.found.APIServers), strings.Join(problems, "; "), needs)
	case len(g.found.APIServers) > 0:
		g.note(facts.SourceFlags, facts.Read, len(g.found.APIServers), "", "")
	default:
		g.note(facts.SourceFlags, facts.Unreadable, 0, strings.Join(problems, "; "), needs)
	}
}

// flagz asks a running API server for its flags.
func flagz(ctx context.Context, replica Replica) (*facts.APIServer, error) {
	body, err := get(ctx, replica.API, Question{Path: "/flagz", Accept: flagzAccepts})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Kind  string            `json:"kind"`
		Flags map[string]string `json:"flags"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Kind != "Flagz" {
		return nil, fmt.Errorf("GET /flagz: %s does not answer with its flags in a structured form", replica.Name)
	}
	return &facts.APIServer{Program: facts.Program{
		Name: replica.Name, Evidence: facts.EvidenceFlagz, Flags: apiserverflags.FromEffective(answer.Flags), StartedAt: statusz(ctx, replica.API),
	}}, nil
}

// statusz asks a running API server when it was started; zero where it does not say.
func statusz(ctx context.Context, asker Asker) time.Time {
	const accepts = "application/json;g=config.k8s.io;v=v1beta1;as=Statusz,application/json;g=config.k8s.io;v=v1alpha1;as=Statusz"
	var answer struct {
		Kind      string    `json:"kind"`
		StartTime time.Time `json:"startTime"`
	}
	body, err := get(ctx, asker, Question{Path: "/statusz", Accept: accepts})
	if err != nil || json.Unmarshal(body, &answer) != nil || answer.Kind != "Statusz" {
		return time.Time{}
	}
	return answer.StartTime.UTC()
}

// pods reads the mirror pods of a control plane that runs as static pods.
func (g *Gatherer) pods(ctx context.Context, api Asker) error {
	var pods []corev1.Pod
	_, err := list(ctx, api, Question{
		Path: kubeSystem + "/pods", Query: selector("labelSelector", componentLabel+" in ("+apiserverflags.Program+","+controllerManager+")"),
	}, func(pod *corev1.Pod) {
		if pod == nil {
			pods = nil
			return
		}
		pods = append(pods, *pod)
	})
	if err != nil {
		if len(g.found.ControllerManagers) == 0 {
			g.refused(facts.SourceControllerManager, err, "list pods in kube-system")
		}
		return err
	}
	for i := range pods {
		pod := &pods[i]
		name := pod.Namespace + "/" + pod.Name
		if pod.Labels[componentLabel] == controllerManager {
			if flags, ok := managerFlags(pod); ok {
				g.found.ControllerManagers = append(g.found.ControllerManagers, facts.Program{
					Name: name, Evidence: facts.EvidencePod, Flags: flags, StartedAt: startOf(pod),
				})
			}
			continue
		}
		server, err := fromPod(pod)
		if err != nil {
			return fmt.Errorf("pod %s: %w", name, err)
		}
		server.Name = name
		g.found.APIServers = append(g.found.APIServers, *server)
	}
	if known := len(g.found.ControllerManagers); known > 0 {
		g.note(facts.SourceControllerManager, facts.Read, known, "", "")
	} else {
		g.note(facts.SourceControllerManager, facts.Unreadable, 0, "no kube-controller-manager is among the pods of kube-system",
			"--manifest with the controller manager's manifest")
	}
	return nil
}

func fromPod(pod *corev1.Pod) (*facts.APIServer, error) {
	manifest := corev1.Pod{Spec: pod.Spec}
	manifest.Kind, manifest.APIVersion = "Pod", "v1"
	encoded, err := json.Marshal(&manifest)
	if err != nil {
		return nil, err
	}
	source, err := apiserverflags.Read(encoded)
	if err != nil {
		return nil, err
	}
	flags, err := apiserverflags.Parse(source)
	if err != nil {
		return nil, err
	}
	return &facts.APIServer{Program: facts.Program{Evidence: facts.EvidencePod, Flags: flags, StartedAt: startOf(pod)}}, nil
}

func startOf(pod *corev1.Pod) time.Time {
	for _, status := range pod.Status.ContainerStatuses {
		if running := status.State.Running; running != nil {
			return running.StartedAt.UTC()
		}
	}
	return time.Time{}
}

// managerFlags are those of a controller manager that concern credentials.
func managerFlags(pod *corev1.Pod) (apiserverflags.Values, bool) {
	for _, container := range pod.Spec.Containers {
		words := append(slices.Clone(container.Command), container.Args...)
		if flags, ok := ManagerFlags(words); ok {
			return flags, true
		}
	}
	return nil, false
}

// ManagerFlags reads the flags of kube-controller-manager that concern credentials, if the words start one.
func ManagerFlags(words []string) (apiserverflags.Values, bool) {
	start := slices.IndexFunc(words, func(word string) bool { return strings.HasSuffix("/"+word, "/"+controllerManager) })
	if start < 0 {
		return nil, false
	}
	flags := apiserverflags.Values{}
	for _, word := range words[start+1:] {
		name, value, ok := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if !ok {
			value = "true"
		}
		switch name {
		case "cluster-signing-duration", "legacy-service-account-token-clean-up-period":
			flags[name] = []string{value}
		case "controllers":
			flags[name] = strings.Split(value, ",")
		}
	}
	return flags, true
}

// kubeadm reads a ClusterConfiguration. Its flags count only where no API server was seen itself: they miss what was
// changed by hand.
func (g *Gatherer) kubeadm(configuration string) {
	source, err := apiserverflags.Read([]byte(configuration))
	var flags apiserverflags.Values
	if err == nil {
		flags, err = apiserverflags.Parse(source)
	}
	if err != nil {
		g.note(facts.SourceKubeadm, facts.Unreadable, 0, err.Error(), "a ConfigMap kubeadm-config as kubeadm writes it")
		return
	}
	described, err := describeKubeadm([]byte(configuration))
	if err != nil {
		g.note(facts.SourceKubeadm, facts.Unreadable, 0, err.Error(), "a ConfigMap kubeadm-config as kubeadm writes it")
		return
	}
	g.found.Kubeadm = described
	g.note(facts.SourceKubeadm, facts.Read, 1, "", "")
	if len(g.found.APIServers) == 0 {
		g.found.APIServers = append(g.found.APIServers, facts.APIServer{Program: facts.Program{
			Name: "kube-system/kubeadm-config", Evidence: facts.EvidenceKubeadm, Flags: flags,
		}})
	}
}
