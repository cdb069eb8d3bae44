package ledgerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
)

// revoke makes one revocation, or the items of a list.
func (a *API) revoke(x *localapi.Exchange) {
	list, isList, err := readRevocations(x)
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	now, dryRun, myself := time.Now(), false, false
	for name, values := range x.R.URL.Query() {
		switch {
		case name == "dryRun" && len(values) == 1 && values[0] == metav1.DryRunAll:
			dryRun = true
		case name == "includingMyself" && len(values) == 1 && values[0] == "true":
			myself = true
		case name == "fieldManager" || name == "fieldValidation" || name == "timeout":
		default:
			x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "unknown query parameter "+strconv.Quote(name))
			return
		}
	}
	for i, one := range list {
		one.Actor, one.Created = actorOf(x), now
		if err := one.Check(now); err != nil {
			failed(x, at(i, isList, err))
			return
		}
		if !dryRun && !myself && one.Matches(now)(x.Caller.Credential) {
			x.Fail(http.StatusConflict, metav1.StatusReasonConflict,
				at(i, isList, errors.New("it would shut out the credential that asks for it; say that this is meant, or use another credential")).Error())
			return
		}
	}
	if dryRun {
		answerRevocations(x, http.StatusOK, list, isList, nil, a.everyStream(x.R.Context(), &streamQuery{Under: list}).Items)
		return
	}
	// What has begun is brought to its end, also where the client went away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), actTimeout)
	defer cancel()
	force, err := a.config.Ledger.Revoke(ctx, list...)
	if err != nil {
		failed(x, err)
		return
	}
	answerRevocations(x, http.StatusCreated, list, isList, force, nil)
}

// at says which item of a list an error is about.
func at(i int, isList bool, err error) error {
	if !isList {
		return err
	}
	return fmt.Errorf("items[%d]: %w", i, err)
}

// readRevocations reads a Revocation or a RevocationList.
func readRevocations(x *localapi.Exchange) (list []*ledger.Revocation, isList bool, err error) {
	var raw json.RawMessage
	if err := x.Read(&raw); err != nil {
		return nil, false, err
	}
	items := []adminapi.Revocation{{}}
	if isList = kindOf(raw) == adminapi.RevocationListKind; isList {
		var written adminapi.RevocationList
		if err := localapi.Strict(raw, &written); err != nil {
			return nil, true, err
		}
		if err := written.Is(adminapi.RevocationListKind); err != nil {
			return nil, true, err
		}
		items = written.Items
	} else if err := localapi.Strict(raw, &items[0]); err != nil {
		return nil, false, err
	}
	if len(items) == 0 || len(items) > maxItems {
		return nil, isList, fmt.Errorf("a list has 1 to %d items", maxItems)
	}
	for i := range items {
		if items[i].TypeMeta == (adminapi.TypeMeta{}) && isList {
			items[i].TypeMeta = adminapi.TypeOf(adminapi.RevocationKind)
		}
		one, err := fromAPI(&items[i])
		if err != nil {
			return nil, isList, at(i, isList, err)
		}
		list = append(list, one)
	}
	return list, isList, nil
}

// fromAPI turns a written revocation into the ledger's.
func fromAPI(written *adminapi.Revocation) (*ledger.Revocation, error) {
	if err := written.Is(adminapi.RevocationKind); err != nil {
		return nil, err
	}
	target, err := targetFromAPI(&written.Spec.Target)
	if err != nil {
		return nil, err
	}
	r := &ledger.Revocation{
		Target: target, IssuedFrom: written.Spec.IssuedFrom, IssuedUntil: written.Spec.IssuedUntil, Until: written.Spec.Until, Reason: written.Spec.Reason,
	}
	switch written.Spec.Scope {
	case "", adminapi.ScopeAlways:
	case adminapi.ScopeSoFar:
		r.Scope = ledger.SoFar
	default:
		return nil, fmt.Errorf("spec.scope: %q: want %s or %s", written.Spec.Scope, adminapi.ScopeAlways, adminapi.ScopeSoFar)
	}
	return r, nil
}

// targetFromAPI wants exactly one field.
func targetFromAPI(written *adminapi.Target) (ledger.Target, error) {
	var all []ledger.Target
	if c := written.Credential; c != nil {
		all = append(all, ledger.Target{Kind: ledger.OneCredential, Name: c.ID, Issuer: c.Issuer})
	}
	if c := written.Certificate; c != nil {
		all = append(all, ledger.Target{Kind: ledger.OneCertificate, Name: canonicalSerial(c.Serial), Issuer: c.Issuer})
	}
	for kind, name := range map[ledger.Kind]string{ledger.User: written.User, ledger.Issuer: written.Issuer, ledger.AllOfMechanism: written.Mechanism} {
		if name != "" {
			all = append(all, ledger.Target{Kind: kind, Name: name})
		}
	}
	if len(all) != 1 {
		return ledger.Target{}, errors.New("spec.target: set exactly one of credential, certificate, user, issuer, mechanism")
	}
	return all[0], nil
}

// canonicalSerial is a serial number however it was copied: with 0x, colons, capitals, leading zeros.
func canonicalSerial(written string) string {
	serial := strings.TrimLeft(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(written), "0x"), ":", ""), "0")
	if serial == "" && written != "" {
		return "0"
	}
	return serial
}

// toAPI turns a revocation into its written form.
func toAPI(r *ledger.Revocation, now time.Time) adminapi.Revocation {
	written := adminapi.Revocation{
		TypeMeta: adminapi.TypeOf(adminapi.RevocationKind),
		Metadata: adminapi.ObjectMeta{Name: r.Name, CreationTimestamp: r.Created},
		Spec: adminapi.RevocationSpec{
			Scope: adminapi.ScopeAlways, IssuedFrom: r.IssuedFrom, IssuedUntil: r.IssuedUntil, Until: r.Until, Reason: r.Reason,
		},
		Status: adminapi.RevocationStatus{Actor: adminapi.Actor(r.Actor), Ended: !r.Until.IsZero() && !now.Before(r.Until)},
	}
	if r.Scope == ledger.SoFar {
		written.Spec.Scope = adminapi.ScopeSoFar
	}
	switch target := &written.Spec.Target; r.Target.Kind {
	case ledger.OneCredential:
		target.Credential = &adminapi.CredentialTarget{ID: r.Target.Name, Issuer: r.Target.Issuer}
	case ledger.OneCertificate:
		target.Certificate = &adminapi.CertificateTarget{Serial: r.Target.Name, Issuer: r.Target.Issuer}
	case ledger.User:
		target.User = r.Target.Name
	case ledger.Issuer:
		target.Issuer = r.Target.Name
	case ledger.AllOfMechanism:
		target.Mechanism = r.Target.Name
	}
	if r.Lifted != nil {
		written.Status.Lifted = &adminapi.Lifted{Reason: r.Lifted.Reason, Actor: adminapi.Actor(r.Lifted.Actor), At: r.Lifted.At}
	}
	return written
}

// ForceToAPI turns the proof into its written form.
func ForceToAPI(force *ledger.InForce) *adminapi.InForce {
	if force == nil {
		return nil
	}
	written := &adminapi.InForce{Complete: force.Complete(), TookMilliseconds: float64(force.Took) / float64(time.Millisecond)}
	for _, name := range slices.Sorted(maps.Keys(force.Replicas)) {
		written.Replicas = append(written.Replicas, adminapi.ReplicaInForce{Name: name, State: string(force.Replicas[name])})
	}
	for _, n := range force.Cut {
		written.StreamsCut += n
	}
	return written
}

// answerRevocations answers a request that made revocations, or would have.
func answerRevocations(x *localapi.Exchange, code int, list []*ledger.Revocation, isList bool, force *ledger.InForce, would []adminapi.Stream) {
	now := time.Now()
	answer := adminapi.RevocationList{TypeMeta: adminapi.TypeOf(adminapi.RevocationListKind)}
	for _, one := range list {
		answer.Items = append(answer.Items, toAPI(one, now))
	}
	last := &answer.Items[len(answer.Items)-1].Status // that of the whole request, where there are several
	last.InForce, last.WouldCut = ForceToAPI(force), would
	if isList {
		x.Answer(code, answer)
		return
	}
	x.Answer(code, answer.Items[0])
}

// lift ends a revocation.
func (a *API) lift(x *localapi.Exchange, name string) {
	var written adminapi.Lift
	err := x.Read(&written)
	if err == nil {
		err = written.Is(adminapi.LiftKind)
	}
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.R.Context()), actTimeout)
	defer cancel()
	lifted, force, err := a.config.Ledger.Lift(ctx, name, ledger.Lift{Reason: written.Reason, Actor: actorOf(x)})
	if err != nil {
		failed(x, err)
		return
	}
	answer := toAPI(lifted, time.Now())
	answer.Status.InForce = ForceToAPI(force)
	x.Answer(http.StatusOK, answer)
}

// get answers with one revocation, lifted or not.
func (a *API) get(x *localapi.Exchange, name string) {
	found, err := a.config.Ledger.Get(x.R.Context(), name)
	if err != nil {
		failed(x, err)
		return
	}
	x.Answer(http.StatusOK, toAPI(found, time.Now()))
}

// list answers with a page of revocations.
func (a *API) list(x *localapi.Exchange) {
	query := x.R.URL.Query()
	user, mechanism := query.Get("user"), query.Get("mechanism")
	if query.Get("watch") == "true" {
		a.watch(x, a.config.Ledger.FollowRevocations, func(event ledger.Event) any { return a.revocationEvent(x, event, user, mechanism) })
		return
	}
	limit, err := limitOf(query)
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	now, past := time.Now(), query.Get("past") == "true"
	answer := adminapi.RevocationList{TypeMeta: adminapi.TypeOf(adminapi.RevocationListKind), Items: []adminapi.Revocation{}}
	revision := int64(0)
	answer.Metadata.Continue, revision, err = a.config.Ledger.List(x.R.Context(), past, query.Get("continue"), func(r *ledger.Revocation) bool {
		one := toAPI(r, now)
		if selected(&one, user, mechanism) {
			answer.Items = append(answer.Items, one)
		}
		return len(answer.Items) < limit
	})
	if err != nil {
		failed(x, err)
		return
	}
	answer.Metadata.ResourceVersion = versionText(revision)
	x.Answer(http.StatusOK, answer)
}

// revocationEvent is what a watch shows of a change: one that was lifted as it is on record now.
func (a *API) revocationEvent(x *localapi.Exchange, event ledger.Event, user, mechanism string) any {
	if event.Gone {
		lifted, err := a.config.Ledger.Lifted(x.R.Context(), event.Name)
		if err != nil {
			return &adminapi.Revocation{TypeMeta: adminapi.TypeOf(adminapi.RevocationKind), Metadata: adminapi.ObjectMeta{Name: event.Name}}
		}
		event.Revocation = lifted
	}
	if one := toAPI(event.Revocation, time.Now()); selected(&one, user, mechanism) {
		return &one
	}
	return nil
}

// selected reports whether a revocation is one of those asked for; empty asks for all.
func selected(r *adminapi.Revocation, user, mechanism string) bool {
	return (user == "" || r.Spec.Target.User == user) && (mechanism == "" || r.Spec.Target.Mechanism == mechanism)
}

// kindOf is the kind that an object says; what is no object has none.
func kindOf(object []byte) string {
	var meta adminapi.TypeMeta
	_ = json.Unmarshal(object, &meta)
	return meta.Kind
}
