package impersonation

import (
	"context"
	"errors"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/selection"
	kube "k8s.io/apiserver/pkg/authorization/authorizer"
)

// authorizer answers the upstream filter's questions by SubjectAccessReviews, on the account of the attempt in the
// context.
type authorizer struct{ c *Checker }

// Authorize implements the upstream interface. It allows only what a review allowed in time. Once a review failed, or
// one too many was asked for, the attempt as a whole has failed: a later yes, in another mode, is not waited for.
func (z authorizer) Authorize(ctx context.Context, attributes kube.Attributes) (kube.Decision, string, error) {
	a := attemptFrom(ctx)
	if a == nil {
		return kube.DecisionDeny, "", errors.New("a review outside any attempt")
	}
	if a.failure != nil {
		return kube.DecisionDeny, "", a.failure.cause
	}
	fail := func(f failure) (kube.Decision, string, error) {
		a.failure = &f
		return kube.DecisionDeny, "", f.cause
	}
	if a.left <= 0 {
		return fail(failure{cause: errors.New("too many reviews"), budget: z.c.maxReviews})
	}
	a.left--
	select {
	case z.c.turns <- struct{}{}:
		defer func() { <-z.c.turns }()
	case <-ctx.Done():
		return fail(failure{cause: ctx.Err()})
	}
	allowed, reason, err := z.c.reviewer.Review(ctx, specFor(attributes))
	if err == nil {
		err = ctx.Err() // a yes that comes too late is none
	}
	switch {
	case err != nil:
		return fail(failure{cause: err})
	case allowed:
		return kube.DecisionAllow, reason, nil
	default:
		return kube.DecisionNoOpinion, reason, nil
	}
}

// specFor writes attributes as a review of the same question, as kube-apiserver's own webhook authorizer does: the
// requester with uid and extra (attack: a review about somebody who only shares the name), and the selectors.
func specFor(attributes kube.Attributes) authorizationv1.SubjectAccessReviewSpec {
	var spec authorizationv1.SubjectAccessReviewSpec
	if u := attributes.GetUser(); u != nil {
		spec.User, spec.UID, spec.Groups = u.GetName(), u.GetUID(), u.GetGroups()
		for key, values := range u.GetExtra() {
			if spec.Extra == nil {
				spec.Extra = make(map[string]authorizationv1.ExtraValue)
			}
			spec.Extra[key] = values
		}
	}
	if !attributes.IsResourceRequest() {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: attributes.GetPath(), Verb: attributes.GetVerb()}
		return spec
	}
	spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace: attributes.GetNamespace(), Verb: attributes.GetVerb(), Group: attributes.GetAPIGroup(),
		Version: attributes.GetAPIVersion(), Resource: attributes.GetResource(), Subresource: attributes.GetSubresource(),
		Name: attributes.GetName(),
	}
	if requirements := fieldRequirements(attributes); len(requirements) > 0 {
		spec.ResourceAttributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: requirements}
	}
	if requirements := labelRequirements(attributes); len(requirements) > 0 {
		spec.ResourceAttributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{Requirements: requirements}
	}
	return spec
}

// fieldRequirements translates the field selector. A requirement that can't be said is left out, and so is a selector
// that can't be read: the question then is about more than was asked for, which only a wider role allows.
func fieldRequirements(attributes kube.Attributes) []metav1.FieldSelectorRequirement {
	selectors, err := attributes.GetFieldSelector()
	if err != nil {
		return nil
	}
	var requirements []metav1.FieldSelectorRequirement
	for _, s := range selectors {
		var operator metav1.FieldSelectorOperator
		switch s.Operator {
		case selection.Equals, selection.DoubleEquals, selection.In:
			operator = metav1.FieldSelectorOpIn
		case selection.NotEquals, selection.NotIn:
			operator = metav1.FieldSelectorOpNotIn
		default:
			continue
		}
		requirements = append(requirements, metav1.FieldSelectorRequirement{Key: s.Field, Operator: operator, Values: []string{s.Value}})
	}
	return requirements
}

// labelRequirements translates the label selector, with the same reserve.
func labelRequirements(attributes kube.Attributes) []metav1.LabelSelectorRequirement {
	selectors, err := attributes.GetLabelSelector()
	if err != nil {
		return nil
	}
	var requirements []metav1.LabelSelectorRequirement
	for _, s := range selectors {
		var operator metav1.LabelSelectorOperator
		switch s.Operator() { // greater-than and less-than have no counterpart in a review
		case selection.Equals, selection.DoubleEquals, selection.In:
			operator = metav1.LabelSelectorOpIn
		case selection.NotEquals, selection.NotIn:
			operator = metav1.LabelSelectorOpNotIn
		case selection.Exists:
			operator = metav1.LabelSelectorOpExists
		case selection.DoesNotExist:
			operator = metav1.LabelSelectorOpDoesNotExist
		default:
			continue
		}
		requirements = append(requirements, metav1.LabelSelectorRequirement{Key: s.Key(), Operator: operator, Values: s.ValuesUnsorted()})
	}
	return requirements
}
