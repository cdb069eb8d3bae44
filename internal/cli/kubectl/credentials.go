package kubectl

import (
	"context"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/ostiary/ostiary/internal/adminapi"
)

// credentialQuery turns flags into what the server is asked.
func (f *getFlags) credentialQuery(now time.Time) (url.Values, error) {
	query := url.Values{}
	set(query, map[string]string{"user": f.user, "mechanism": f.mechanism, "issuer": f.issuer, "state": f.state})
	if f.unusedFor < 0 || f.expiresIn < 0 {
		return nil, exitWith(ExitFailed, "a duration must not be negative")
	}
	if f.unusedFor > 0 {
		query.Set("unusedSince", now.Add(-f.unusedFor).UTC().Format(time.RFC3339))
	}
	if f.expiresIn > 0 {
		query.Set("expiresBefore", now.Add(f.expiresIn).UTC().Format(time.RFC3339))
	}
	return query, nil
}

// credentials lists all pages.
func (s *server) credentials(ctx context.Context, chosen *getFlags) (listing, error) {
	now := time.Now()
	all := &credentialList{CredentialList: adminapi.CredentialList{TypeMeta: adminapi.TypeOf(adminapi.CredentialListKind), Items: []adminapi.Credential{}}, now: now}
	query, err := chosen.credentialQuery(now)
	if err != nil {
		return nil, err
	}
	err = s.ledgerPages(query, chosen.limit, func(query url.Values) (int, adminapi.ListMeta, error) {
		var page adminapi.CredentialList
		err := s.get(ctx, adminapi.CredentialsPath, query, &page, adminapi.CredentialListKind)
		all.Items = append(all.Items, page.Items...)
		all.Metadata.ResourceVersion = page.Metadata.ResourceVersion
		return len(page.Items), page.Metadata, err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// credentialList is a list that can be printed.
type credentialList struct {
	adminapi.CredentialList

	now time.Time
}

func (l *credentialList) version() string { return l.Metadata.ResourceVersion }

func (l *credentialList) names() []string {
	all := make([]string, 0, len(l.Items))
	for i := range l.Items {
		all = append(all, l.Items[i].Metadata.Name)
	}
	return all
}

func (l *credentialList) table() [][]string {
	table := [][]string{{"CREDENTIAL", "MECHANISM", "USER", "STATE", "EXPIRES", "LAST USED", "FROM", "NAME"}}
	for i := range l.Items {
		one := &l.Items[i]
		table = append(table, []string{
			one.Spec.ID, one.Spec.Mechanism, one.Spec.Username, one.Status.State, ago(one.Spec.NotAfter, l.now, "never"),
			ago(one.Status.LastUsed, l.now, "never"), one.Status.LastSource, one.Metadata.Name,
		})
	}
	return table
}

// ago shows a time as seen from now, or what stands for none.
func ago(at, now time.Time, none string) string {
	switch {
	case at.IsZero():
		return none
	case at.After(now):
		return "in " + duration.HumanDuration(at.Sub(now))
	default:
		return duration.HumanDuration(now.Sub(at)) + " ago"
	}
}

// oneCredential is a credential that can be printed.
type oneCredential struct {
	adminapi.Credential

	now time.Time
}

func (c *oneCredential) names() []string { return []string{c.Metadata.Name} }

func (c *oneCredential) table() [][]string {
	rows := []row{
		{"Name", c.Metadata.Name},
		{"Credential", c.Spec.ID},
		{"Issuer", c.Spec.Issuer},
		{"Mechanism", c.Spec.Mechanism},
		{"User", c.Spec.Username},
		{"UID", c.Spec.UID},
		{"Groups", list(c.Spec.Groups)},
		{"State", c.Status.State},
	}
	if c.Status.Revocation != "" {
		rows = append(rows, row{"Revocation", c.Status.Revocation})
	}
	if cert := c.Spec.Certificate; cert != nil {
		rows = append(rows, row{"Serial number", cert.Serial}, row{"Signed by", cert.Issuer})
	}
	for _, at := range []struct {
		name string
		time time.Time
	}{{"Valid from", c.Spec.NotBefore}, {"Valid until", c.Spec.NotAfter}, {"First used", c.Status.FirstUsed}, {"Last used", c.Status.LastUsed}} {
		text := "unknown"
		if !at.time.IsZero() {
			text = at.time.UTC().Format(time.RFC3339) + " (" + ago(at.time, c.now, "") + ")"
		}
		rows = append(rows, row{at.name, text})
	}
	if c.Status.LastSource != "" {
		rows = append(rows, row{"Last used from", c.Status.LastSource + " at cluster " + c.Status.LastCluster})
	}
	return attributes(append(rows,
		row{"On record", c.Metadata.CreationTimestamp.UTC().Format(time.RFC3339) + ", " + c.Status.Origin},
		row{"Issued to", actorText(&c.Status.IssuedTo)}, row{"Cluster", c.Spec.Cluster}))
}
