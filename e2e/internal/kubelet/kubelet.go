// Package kubelet is a node for control planes that have none: it registers itself, runs the command of each pod that
// is bound to it as a process of this machine, and serves exec, attach, port-forward and logs to kube-apiserver with
// the streaming code that real nodes use. It has no images, no isolation and no terminals.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// webSocketFeature is what a node declares that speaks WebSocket itself; kube-apiserver translates to SPDY for
	// others.
	webSocketFeature = "ExtendWebSocketsToKubelet"
	// podDeadline bounds the wait for a pod to run: no image has to be fetched.
	podDeadline = 3 * time.Minute
	// pollInterval is how often a state of the API server is asked for again.
	pollInterval = 50 * time.Millisecond
	// callTimeout bounds one call of the API server by the node itself.
	callTimeout = time.Minute
)

// Node is a node that runs. Its methods are safe for concurrent use.
type Node struct {
	// Name is the name of its Node object.
	Name string

	plane   *controlplane.ControlPlane
	client  *kubernetes.Clientset // with the node's own rights
	dir     string
	port    int
	streams streaming.Server
	servers []*http.Server
	ctx     context.Context //nolint:containedctx // the node's life, which no single call bounds
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu         sync.Mutex
	containers map[string]*container
	upgrades   map[string]int
}

// Start registers a node of the given name and starts to serve it. Whoever calls it must call Stop.
func Start(ctx context.Context, plane *controlplane.ControlPlane, name string) (_ *Node, err error) {
	n := &Node{Name: name, plane: plane, containers: map[string]*container{}, upgrades: map[string]int{}}
	// Stop ends the node, not the context of the call that started it.
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start node %s: %w", name, err), n.Stop())
		}
	}()
	if n.dir, err = os.MkdirTemp("", "ostiary-node-"); err != nil {
		return nil, err
	}
	access, err := plane.CertificateAccess(pki.Client("system:node:"+name, "system:nodes"))
	if err != nil {
		return nil, err
	}
	config, err := access.REST()
	if err != nil {
		return nil, err
	}
	if n.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	serving, err := plane.Authorities.Serving.Issue(pki.Server("system:node:" + name))
	if err != nil {
		return nil, err
	}
	if err := n.serve(serving.TLS()); err != nil {
		return nil, err
	}
	if err := n.register(ctx); err != nil {
		return nil, err
	}
	n.watch() //nolint:contextcheck // it lives as long as the node, not as the call that starts it
	return n, nil
}

// Stop ends all containers and streams. The Node object stays.
func (n *Node) Stop() error {
	n.cancel()
	var errs []error
	for _, server := range n.servers {
		errs = append(errs, server.Close())
	}
	n.work.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.containers {
		c.kill()
		<-c.done
	}
	return errors.Join(append(errs, os.RemoveAll(n.dir))...)
}

func (n *Node) register(ctx context.Context) error {
	node, err := n.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{corev1.LabelHostname: n.Name}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(n.port) //nolint:gosec // a port
	node.Status.DeclaredFeatures = []string{webSocketFeature}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now(),
	}}
	if _, err := n.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

// watch runs pods as they come and ends them as they go.
func (n *Node) watch() {
	own := fields.OneTermEqualSelector("spec.nodeName", n.Name)
	source := cache.NewListWatchFromClient(n.client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, own)
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source,
		ObjectType:    &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { n.sync(object) },
			UpdateFunc: func(_, object any) { n.sync(object) },
		},
	})
	n.work.Go(func() { controller.RunWithContext(n.ctx) })
}

// sync makes a pod's container what the pod says. An error shows in the pod's status, where its test looks.
func (n *Node) sync(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, callTimeout)
	defer cancel()
	id := containerID(pod.Namespace, pod.Name)
	n.mu.Lock()
	running := n.containers[id]
	n.mu.Unlock()
	switch {
	case pod.DeletionTimestamp != nil:
		if running != nil {
			running.kill()
			<-running.done
			n.mu.Lock()
			delete(n.containers, id)
			n.mu.Unlock()
		}
		// The last word of a kubelet: the pod has ended, take it away. If it is gone already, all the better.
		_ = n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
	case running == nil && pod.Status.Phase == corev1.PodPending:
		c, err := n.run(pod, id)
		if err == nil {
			n.mu.Lock()
			n.containers[id] = c
			n.mu.Unlock()
		}
		n.report(ctx, pod, err)
	}
}

func (n *Node) run(pod *corev1.Pod, id string) (*container, error) {
	if len(pod.Spec.Containers) != 1 {
		return nil, fmt.Errorf("pod %s has %d containers; this node runs one", id, len(pod.Spec.Containers))
	}
	spec := pod.Spec.Containers[0]
	dir := filepath.Join(n.dir, string(pod.UID))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return startContainer(n.ctx, id, dir, append(append([]string{}, spec.Command...), spec.Args...), spec.StdinOnce)
}

// report says how a pod fares.
func (n *Node) report(ctx context.Context, pod *corev1.Pod, failure error) {
	updated := pod.DeepCopy()
	now := metav1.Now()
	updated.Status.Phase, updated.Status.StartTime = corev1.PodRunning, &now
	updated.Status.HostIP, updated.Status.PodIP = "127.0.0.1", "127.0.0.1"
	updated.Status.HostIPs, updated.Status.PodIPs = []corev1.HostIP{{IP: "127.0.0.1"}}, []corev1.PodIP{{IP: "127.0.0.1"}}
	ready := corev1.ConditionTrue
	if failure != nil {
		updated.Status.Phase, updated.Status.Message, ready = corev1.PodFailed, failure.Error(), corev1.ConditionFalse
	}
	for _, condition := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		updated.Status.Conditions = append(updated.Status.Conditions, corev1.PodCondition{Type: condition, Status: ready, LastTransitionTime: now})
	}
	for _, spec := range pod.Spec.Containers {
		updated.Status.ContainerStatuses = append(updated.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: spec.Name, Image: spec.Image, ImageID: spec.Image, Ready: failure == nil, Started: new(failure == nil),
			ContainerID: "local://" + string(pod.UID),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	// Who waits for the pod sees that nothing came, and says so.
	_, _ = n.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
}

// RunPod creates a pod on this node, as an admin, and waits until it runs. Its one container, "main", runs the given
// command; without one it only waits. Its input is closed when the first attached client closes its own.
func (n *Node) RunPod(ctx context.Context, namespace, name string, command ...string) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, podDeadline)
	defer cancel()
	pods := n.plane.Admin.CoreV1().Pods(namespace)
	pod := n.Pod(namespace, name, command...)
	// Admission wants the namespace's ServiceAccount, which a controller makes a moment after the namespace.
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, err := pods.Create(ctx, pod, metav1.CreateOptions{})
		if apierrors.IsForbidden(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("create pod %s/%s: %w", namespace, name, err)
	}
	var running *corev1.Pod
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		var err error
		if running, err = pods.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return false, err
		}
		if running.Status.Phase == corev1.PodFailed {
			return false, errors.New(running.Status.Message)
		}
		return running.Status.Phase == corev1.PodRunning, nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for pod %s/%s to run: %w", namespace, name, err)
	}
	return running, nil
}

// Pod is a pod that is bound to this node.
func (n *Node) Pod(namespace, name string, command ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{
			NodeName: n.Name,
			// A process that ends is not started again here.
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{
				Name: "main", Image: "local/process", Command: command, Stdin: true, StdinOnce: true,
			}},
		},
	}
}

// Upgrades is how many streams came over a protocol: "websocket" or "spdy/3.1". It shows that a protocol went all the
// way from the client to the node.
func (n *Node) Upgrades(protocol string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.upgrades[protocol]
}

func (n *Node) countUpgrade(r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.upgrades[strings.ToLower(r.Header.Get("Upgrade"))]++
}

func containerID(namespace, pod string) string { return namespace + "/" + pod }

func (n *Node) containerByID(id string) (*container, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.containers[id]
	if !ok {
		return nil, fmt.Errorf("no pod %s runs on node %s", id, n.Name)
	}
	return c, nil
}
