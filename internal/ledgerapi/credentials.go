package ledgerapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ostiary/ostiary/internal/adminapi"
	"github.com/ostiary/ostiary/internal/authn"
	"github.com/ostiary/ostiary/internal/identity"
	"github.com/ostiary/ostiary/internal/ledger"
	"github.com/ostiary/ostiary/internal/localapi"
)

// scanned bounds the entries that are looked at for one page: a page may hold less than was asked for, and says where to
// go on.
const scanned = 20_000

// selection says which credentials are asked for. Empty fields ask for all.
type selection struct {
	user, mechanism, issuer, state string
	unusedSince, expiresBefore     time.Time
	limit                          int
}

func selectionOf(query url.Values) (s selection, err error) {
	s = selection{user: query.Get("user"), mechanism: query.Get("mechanism"), issuer: query.Get("issuer"), state: query.Get("state")}
	if s.state != "" && !slices.Contains(adminapi.States(), s.state) {
		return s, fmt.Errorf("state: there is no %q", s.state)
	}
	for name, into := range map[string]*time.Time{"unusedSince": &s.unusedSince, "expiresBefore": &s.expiresBefore} {
		if text := query.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				return s, fmt.Errorf("%s: want a time as RFC 3339 writes it", name)
			}
		}
	}
	s.limit, err = limitOf(query)
	return s, err
}

// limitOf reads how many items a page may have.
func limitOf(query url.Values) (int, error) {
	text := query.Get("limit")
	if text == "" {
		return pageSize, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxItems {
		return 0, fmt.Errorf("limit: want a number from 1 to %d", maxItems)
	}
	return n, nil
}

func (s *selection) has(c *adminapi.Credential) bool {
	lastSign := c.Status.LastUsed
	if lastSign.IsZero() {
		lastSign = c.Metadata.CreationTimestamp
	}
	return (s.user == "" || c.Spec.Username == s.user) && (s.mechanism == "" || c.Spec.Mechanism == s.mechanism) &&
		(s.issuer == "" || c.Spec.Issuer == s.issuer || c.Spec.Certificate != nil && c.Spec.Certificate.Issuer == s.issuer) &&
		(s.state == "" || c.Status.State == s.state) &&
		(s.unusedSince.IsZero() || lastSign.Before(s.unusedSince)) &&
		(s.expiresBefore.IsZero() || !c.Spec.NotAfter.IsZero() && c.Spec.NotAfter.Before(s.expiresBefore))
}

// listCredentials answers with a page of credentials, or with the one that has an id.
func (a *API) listCredentials(x *localapi.Exchange) {
	query := x.R.URL.Query()
	chosen, err := selectionOf(query)
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if query.Get("watch") == "true" {
		a.watch(x, a.config.Ledger.FollowEntries, func(event ledger.Event) any {
			if event.Gone {
				return &adminapi.Credential{TypeMeta: adminapi.TypeOf(adminapi.CredentialKind), Metadata: adminapi.ObjectMeta{Name: event.Name}}
			}
			if one := credentialToAPI(event.Entry, time.Now()); chosen.has(&one) {
				return &one
			}
			return nil
		})
		return
	}
	answer := adminapi.CredentialList{TypeMeta: adminapi.TypeOf(adminapi.CredentialListKind), Items: []adminapi.Credential{}}
	now := time.Now()
	if id := query.Get("id"); id != "" {
		found, err := a.config.Ledger.EntryOf(x.R.Context(), identity.CredentialID{Value: id, Issuer: chosen.issuer})
		if err == nil {
			answer.Items = append(answer.Items, credentialToAPI(found, now))
		} else if !errors.Is(err, ledger.ErrNoEntry) {
			failed(x, err)
			return
		}
		x.Answer(http.StatusOK, answer)
		return
	}
	looked, revision := 0, int64(0)
	answer.Metadata.Continue, revision, err = a.config.Ledger.Entries(x.R.Context(), query.Get("continue"), func(one *ledger.Standing) bool {
		looked++
		if written := credentialToAPI(one, now); chosen.has(&written) {
			answer.Items = append(answer.Items, written)
		}
		return len(answer.Items) < chosen.limit && looked < scanned
	})
	if err != nil {
		failed(x, err)
		return
	}
	answer.Metadata.ResourceVersion = versionText(revision)
	x.Answer(http.StatusOK, answer)
}

// versionText is empty where a list goes on.
func versionText(revision int64) string {
	if revision == 0 {
		return ""
	}
	return strconv.FormatInt(revision, 10)
}

// getCredential answers with one, by its entry's name.
func (a *API) getCredential(x *localapi.Exchange, name string) {
	found, err := a.config.Ledger.Entry(x.R.Context(), name)
	if err != nil {
		failed(x, err)
		return
	}
	x.Answer(http.StatusOK, credentialToAPI(found, time.Now()))
}

// importCredentials puts credentials on record that the gate has not seen.
func (a *API) importCredentials(x *localapi.Exchange) {
	var raw json.RawMessage
	if err := x.Read(&raw); err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	list := adminapi.CredentialList{Items: make([]adminapi.Credential, 1)}
	isList := kindOf(raw) == adminapi.CredentialListKind
	var err error
	if isList {
		err = errors.Join(localapi.Strict(raw, &list), list.Is(adminapi.CredentialListKind))
	} else {
		err = errors.Join(localapi.Strict(raw, &list.Items[0]), list.Items[0].Is(adminapi.CredentialKind))
	}
	if err == nil && (len(list.Items) == 0 || len(list.Items) > maxItems) {
		err = fmt.Errorf("a list has 1 to %d items", maxItems)
	}
	if err != nil {
		x.Fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	entries := make([]*ledger.Entry, 0, len(list.Items))
	for i := range list.Items {
		entry := entryFromAPI(&list.Items[i].Spec, actorOf(x))
		if err := entry.Check(); err != nil {
			failed(x, at(i, isList, err))
			return
		}
		entries = append(entries, entry)
	}
	if err := a.config.Ledger.Record(x.R.Context(), entries...); err != nil {
		failed(x, err)
		return
	}
	now := time.Now()
	answer := adminapi.CredentialList{TypeMeta: adminapi.TypeOf(adminapi.CredentialListKind)}
	for _, entry := range entries {
		found, err := a.config.Ledger.EntryOf(x.R.Context(), identity.CredentialID{Value: entry.ID, Issuer: entry.Issuer})
		if err != nil {
			failed(x, err)
			return
		}
		answer.Items = append(answer.Items, credentialToAPI(found, now))
	}
	if isList {
		x.Answer(http.StatusCreated, answer)
		return
	}
	x.Answer(http.StatusCreated, answer.Items[0])
}

// entryFromAPI takes nothing of the status: that is the ledger's own.
func entryFromAPI(spec *adminapi.CredentialSpec, by ledger.Actor) *ledger.Entry {
	entry := &ledger.Entry{
		ID: spec.ID, Issuer: spec.Issuer, Mechanism: identity.Mechanism(spec.Mechanism), Username: spec.Username, UID: spec.UID, Groups: spec.Groups,
		NotBefore: spec.NotBefore, NotAfter: spec.NotAfter, Cluster: spec.Cluster, Origin: ledger.Imported, IssuedTo: by,
	}
	if c := spec.Certificate; c != nil {
		entry.Certificate = &authn.Certificate{ID: spec.ID, Serial: canonicalSerial(c.Serial), Issuer: c.Issuer}
	}
	return entry
}

// credentialToAPI turns an entry into its written form.
func credentialToAPI(one *ledger.Standing, now time.Time) adminapi.Credential {
	written := adminapi.Credential{
		TypeMeta: adminapi.TypeOf(adminapi.CredentialKind),
		Metadata: adminapi.ObjectMeta{Name: one.Name, CreationTimestamp: one.Recorded},
		Spec: adminapi.CredentialSpec{
			ID: one.ID, Issuer: one.Issuer, Mechanism: string(one.Mechanism), Username: one.Username, UID: one.UID, Groups: one.Groups, GroupsLeftOut: one.GroupsLeftOut,
			NotBefore: one.NotBefore, NotAfter: one.NotAfter, Cluster: one.Cluster,
		},
		Status: adminapi.CredentialStatus{
			State: adminapi.StateActive, Revocation: one.Revocation, Origin: string(one.Origin), IssuedTo: adminapi.Actor(one.IssuedTo),
			FirstUsed: one.Use.First, LastUsed: one.Use.Last, LastCluster: one.Use.Cluster,
		},
	}
	if one.Use.Source.IsValid() {
		written.Status.LastSource = one.Use.Source.String()
	}
	if c := one.Certificate; c != nil && c.Serial != "" {
		written.Spec.Certificate = &adminapi.CertificateTarget{Serial: c.Serial, Issuer: c.Issuer}
	}
	switch {
	case one.Revocation != "":
		written.Status.State = adminapi.StateRevoked
	case !one.NotAfter.IsZero() && now.After(one.NotAfter):
		written.Status.State = adminapi.StateExpired
	case now.Before(one.NotBefore):
		written.Status.State = adminapi.StateNotYetValid
	}
	return written
}
