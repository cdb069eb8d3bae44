package collect

import (
	"context"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/ostiary/ostiary/internal/facts"
)

// maxNodesAsked bounds how many nodes are asked for what else runs on them.
const maxNodesAsked = 5

// software finds what of this cluster answers for providers and webhooks, and what runs beside it.
func (g *Gatherer) software(ctx context.Context, what *Live) {
	const needs = "list services, ingresses, pods, networkpolicies and nodes"
	all := g.vouchers()
	if len(all) == 0 {
		g.note(facts.SourceSoftware, facts.Read, 0, "", "")
		return
	}
	err := g.locate(ctx, what.API, all)
	for i := 0; err == nil && i < len(all); i++ {
		if all[i].Service != "" {
			err = surroundings(ctx, what.API, &all[i])
		}
	}
	if err != nil {
		g.refused(facts.SourceSoftware, err, needs)
		return
	}
	g.found.Software = all
	g.note(facts.SourceSoftware, facts.Read, len(all), "", "")
}

// vouchers are the addresses of providers and webhooks that API servers known so far go by.
func (g *Gatherer) vouchers() []facts.Software {
	var all []facts.Software
	add := func(address, purpose string) {
		parsed, err := url.Parse(address)
		if err != nil || parsed.Hostname() == "" {
			return
		}
		one := facts.Software{Host: parsed.Hostname(), Purpose: purpose}
		if !slices.ContainsFunc(all, func(s facts.Software) bool { return s.Host == one.Host && s.Purpose == purpose }) {
			all = append(all, one)
		}
	}
	for i := range g.found.APIServers {
		server := &g.found.APIServers[i]
		issuers, _ := server.Issuers()
		for j := range issuers {
			add(issuers[j].URL, "provider")
		}
		add(currentServer(server.Webhook), "webhook")
	}
	return all
}

// locate finds the Services behind addresses: by a Service's name, its address, or an Ingress.
func (g *Gatherer) locate(ctx context.Context, api Asker, all []facts.Software) error {
	for i := range all {
		name, rest, _ := strings.Cut(all[i].Host, ".")
		namespace, suffix, _ := strings.Cut(rest, ".")
		if suffix == "svc" || strings.HasPrefix(suffix, "svc.") {
			all[i].Namespace, all[i].Service, all[i].Found = namespace, name, "its name"
		}
	}
	if !slices.ContainsFunc(all, func(s facts.Software) bool { return s.Service == "" }) {
		return nil // the lists are long
	}
	var services []corev1.Service
	if _, err := list(ctx, api, Question{Path: "/api/v1/services"}, func(o *corev1.Service) {
		if o == nil {
			services = nil
			return
		}
		services = append(services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name}, Spec: corev1.ServiceSpec{
			ClusterIPs: o.Spec.ClusterIPs, ExternalIPs: o.Spec.ExternalIPs,
		}, Status: corev1.ServiceStatus{LoadBalancer: o.Status.LoadBalancer}})
	}); err != nil {
		return err
	}
	var ingresses []networkingv1.Ingress
	if _, err := list(ctx, api, Question{Path: "/apis/networking.k8s.io/v1/ingresses"}, func(o *networkingv1.Ingress) {
		if o == nil {
			ingresses = nil
			return
		}
		ingresses = append(ingresses, *o)
	}); err != nil {
		return err
	}
	for i := range all {
		one := &all[i]
		if one.Service != "" {
			continue
		}
		for j := range services {
			s := &services[j]
			outside := slices.ContainsFunc(s.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool { return in.IP == one.Host || in.Hostname == one.Host })
			if outside || slices.Contains(s.Spec.ClusterIPs, one.Host) || slices.Contains(s.Spec.ExternalIPs, one.Host) {
				one.Namespace, one.Service, one.Found = s.Namespace, s.Name, "its address"
			}
		}
		for j := range ingresses {
			if service := behind(&ingresses[j], one.Host); service != "" {
				one.Namespace, one.Service, one.Found = ingresses[j].Namespace, service, "the Ingress "+ingresses[j].Name
			}
		}
	}
	return nil
}

// behind is the Service that an Ingress leads a host to; empty where it leads it nowhere.
func behind(ingress *networkingv1.Ingress, host string) string {
	for _, rule := range ingress.Spec.Rules {
		_, domain, _ := strings.Cut(host, ".")
		if rule.Host != host && rule.Host != "*."+domain || rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				return path.Backend.Service.Name
			}
		}
	}
	return ""
}

// surroundings looks at what runs beside a Service's pods.
func surroundings(ctx context.Context, api Asker, one *facts.Software) error {
	var service corev1.Service
	if err := object(ctx, api, "/api/v1/namespaces/"+url.PathEscape(one.Namespace)+"/services/"+url.PathEscape(one.Service), &service); err != nil {
		if StatusOf(err) == 404 { //nolint:mnd // not found: a name of a Service that is not there
			one.Service = ""
			return nil
		}
		return err
	}
	var pods []corev1.Pod
	if err := inNamespace(ctx, api, "/api/v1/namespaces/"+url.PathEscape(one.Namespace)+"/pods", nil, &pods); err != nil {
		return err
	}
	var policies []networkingv1.NetworkPolicy
	if err := inNamespace(ctx, api, "/apis/networking.k8s.io/v1/namespaces/"+url.PathEscape(one.Namespace)+"/networkpolicies", nil, &policies); err != nil {
		return err
	}
	selected := labels.SelectorFromSet(service.Spec.Selector)
	accounts, nodes := map[string]bool{}, []string{}
	one.Guarded = true
	for i := range pods {
		pod := &pods[i]
		if len(service.Spec.Selector) == 0 || !selected.Matches(labels.Set(pod.Labels)) {
			continue
		}
		one.Pods = append(one.Pods, facts.SoftwarePod{Name: pod.Name, Account: pod.Spec.ServiceAccountName, Node: pod.Spec.NodeName})
		accounts[pod.Spec.ServiceAccountName] = true
		if pod.Spec.NodeName != "" && !slices.Contains(nodes, pod.Spec.NodeName) {
			nodes = append(nodes, pod.Spec.NodeName)
		}
		one.Guarded = one.Guarded && slices.ContainsFunc(policies, func(p networkingv1.NetworkPolicy) bool { return guards(&p, pod) })
	}
	one.Guarded = one.Guarded && len(one.Pods) > 0
	for i := range pods {
		if pod := &pods[i]; !accounts[pod.Spec.ServiceAccountName] {
			one.Neighbours = append(one.Neighbours, pod.Name)
		}
	}
	one.Tainted = len(nodes) > 0
	for _, name := range nodes[:min(len(nodes), maxNodesAsked)] {
		if err := besideOn(ctx, api, one, name); err != nil {
			return err
		}
	}
	return nil
}

// besideOn looks at one node: whether it keeps others off, and who is there all the same.
func besideOn(ctx context.Context, api Asker, one *facts.Software, name string) error {
	var node corev1.Node
	if err := object(ctx, api, "/api/v1/nodes/"+url.PathEscape(name), &node); err != nil {
		return err
	}
	one.Tainted = one.Tainted && slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule })
	var pods []corev1.Pod
	if err := inNamespace(ctx, api, "/api/v1/pods", selector("fieldSelector", "spec.nodeName="+name), &pods); err != nil {
		return err
	}
	for i := range pods {
		if pod := &pods[i]; pod.Namespace != one.Namespace && pod.Namespace != "kube-system" {
			one.NodeNeighbours = append(one.NodeNeighbours, pod.Namespace+"/"+pod.Name)
		}
	}
	return nil
}

// guards reports whether a policy limits who may reach a pod.
func guards(policy *networkingv1.NetworkPolicy, pod *corev1.Pod) bool {
	if len(policy.Spec.PolicyTypes) > 0 && !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
		return false
	}
	// A rule without peers lets everybody in.
	if slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool { return len(rule.From) == 0 }) {
		return false
	}
	selected, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	return err == nil && selected.Matches(labels.Set(pod.Labels))
}
