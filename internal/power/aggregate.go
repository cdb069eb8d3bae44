package power

import (
	"fmt"
	"reflect"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Unaggregated lists ClusterRoles that lack rules which their aggregation rule selects, sorted. The controller manager
// writes those rules into the role, and the API server decides by what is written; so does this package. A role in the
// list is about to become stronger, or the controller does not run.
func Unaggregated(roles []rbacv1.ClusterRole) ([]string, error) {
	var lacking []string
	for i := range roles {
		role := &roles[i]
		if role.AggregationRule == nil {
			continue
		}
		complete := true
		for _, selector := range role.AggregationRule.ClusterRoleSelectors {
			selected, err := metav1.LabelSelectorAsSelector(&selector)
			if err != nil {
				return nil, fmt.Errorf("ClusterRole %s: %w", role.Name, err)
			}
			complete = complete && !lacks(role, roles, selected)
		}
		if !complete {
			lacking = append(lacking, role.Name)
		}
	}
	slices.Sort(lacking)
	return lacking, nil
}

// lacks reports whether a role misses a rule of those that a selector selects.
func lacks(role *rbacv1.ClusterRole, roles []rbacv1.ClusterRole, selected labels.Selector) bool {
	for i := range roles {
		source := &roles[i]
		if source.Name == role.Name || !selected.Matches(labels.Set(source.Labels)) {
			continue
		}
		for _, rule := range source.Rules {
			if !slices.ContainsFunc(role.Rules, func(have rbacv1.PolicyRule) bool { return reflect.DeepEqual(have, rule) }) {
				return true
			}
		}
	}
	return false
}
