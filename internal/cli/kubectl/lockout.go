package kubectl

import (
	"context"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

// lockouts lists who is locked out.
func (s *server) lockouts(ctx context.Context, chosen *getFlags) (printed, error) {
	list := &lockoutList{now: time.Now()}
	query := url.Values{}
	set(query, map[string]string{"source": chosen.source, "credentialID": chosen.id})
	if err := s.get(ctx, adminapi.LockoutsPath, query, &list.LockoutList, adminapi.LockoutListKind); err != nil {
		return nil, err
	}
	if over := len(list.Items) - chosen.limit; chosen.limit > 0 && over > 0 {
		list.Items, list.Metadata.RemainingItemCount = list.Items[:chosen.limit], list.Metadata.RemainingItemCount+over
	}
	return list, nil
}

// lockoutList is a list that can be printed.
type lockoutList struct {
	adminapi.LockoutList

	now time.Time
}

func (l *lockoutList) names() []string {
	var all []string
	for i := range l.Items {
		all = append(all, l.Items[i].Metadata.Name)
	}
	return all
}

func (l *lockoutList) table() [][]string {
	table := lockoutTable(l.Items, l.now)
	if more := l.Metadata.RemainingItemCount; more > 0 {
		table = append(table, []string{"and " + strconv.Itoa(more) + " more"})
	}
	return table
}

func lockoutTable(items []adminapi.Lockout, now time.Time) [][]string {
	table := [][]string{{"NAME", "KIND", "SOURCE", "CLAIMED CREDENTIAL", "UNTIL"}}
	for i := range items {
		one := &items[i]
		table = append(table, []string{
			one.Metadata.Name, one.Status.Kind, one.Status.Source, one.Status.CredentialID, until(one.Status.Until, now),
		})
	}
	return table
}

const unlockLong = `Take off a lock that the gate put on a source because too many tokens from there were wrong. What was counted against it
is forgotten, at every gate. It may be locked again at once if it goes on.

Name the lock, as "kubectl ostiary get lockouts" shows it, or give --source for all locks that hold one address.

Exit codes: 0 unlocked at every gate; 3 unlocked, and a gate did not answer; 1 not allowed, or there is no such lock; 4 no
answer; 5 the credential was refused.`

func newUnlock(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var reason, source string
	command := &cobra.Command{
		Use: "unlock (NAME | --source=ADDRESS)", Short: "Take a lock off a source that was locked out", Long: unlockLong, Args: cobra.MaximumNArgs(1),
	}
	command.Flags().StringVar(&reason, "reason", "", "Why, for those who read the record. Required.")
	command.Flags().StringVar(&source, "source", "", "All locks that hold this IP address.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		switch _, err := netip.ParseAddr(source); {
		case strings.TrimSpace(reason) == "":
			return exitWith(ExitFailed, "give a --reason: it is what others find in the record")
		case len(args) == 1 == (source != ""):
			return exitWith(ExitFailed, "name a lock, or give --source")
		case source != "" && err != nil:
			return exitWith(ExitFailed, "--source %q is no IP address", source)
		}
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		names := args
		if source != "" {
			found, err := server.lockouts(command.Context(), &getFlags{source: source})
			if err != nil {
				return err
			}
			if names = found.names(); len(names) == 0 {
				return exitWith(ExitFailed, "no lock holds %s", source)
			}
		}
		result := &unlocked{LockoutList: adminapi.LockoutList{TypeMeta: adminapi.TypeOf(adminapi.LockoutListKind)}}
		for _, name := range names {
			var one adminapi.Lockout
			path := adminapi.LockoutsPath + "/" + url.PathEscape(name) + "/" + adminapi.UnlockSubresource
			if err := server.post(command.Context(), path, nil, &adminapi.UnlockRequest{
				TypeMeta: adminapi.TypeOf(adminapi.UnlockRequestKind), Reason: reason,
			}, &one, adminapi.LockoutKind); err != nil {
				return err
			}
			result.Items = append(result.Items, one)
		}
		if err := output.print(streams.Out, result); err != nil {
			return err
		}
		for i := range result.Items {
			if force := result.Items[i].Status.InForce; force != nil && !force.Complete {
				return exitWith(ExitNotReady, "unlocked; a gate did not answer")
			}
		}
		return nil
	}
	return command
}

// unlocked is what was taken off.
type unlocked struct{ adminapi.LockoutList }

func (u *unlocked) names() []string {
	list := lockoutList{LockoutList: u.LockoutList}
	return list.names()
}

func (u *unlocked) table() [][]string {
	table := [][]string{{"UNLOCKED", "KIND", "SOURCE", "CLAIMED CREDENTIAL"}}
	for i := range u.Items {
		one := &u.Items[i]
		table = append(table, []string{one.Metadata.Name, one.Status.Kind, one.Status.Source, one.Status.CredentialID})
	}
	return table
}

const explainLong = `Say why a request was refused, with what its caller was not told.

A request's id is the Audit-Id header of its answer, which "kubectl -v=8" shows, and the request_id in the access log. Only the
gate that refused it remembers it, for as long as few others were refused since; the access log has all of them.

Exit codes: 0 done; 1 not allowed, or the gate remembers no such request; 4 no answer; 5 the credential was refused.`

func newExplain(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{
		Use: "explain REQUEST-ID", Short: "Say why a request was refused", Long: explainLong, Args: cobra.ExactArgs(1),
	}
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		found := refusal{now: time.Now()}
		if err := server.get(command.Context(), adminapi.RefusalsPath+"/"+url.PathEscape(args[0]), nil, &found.Refusal, adminapi.RefusalKind); err != nil {
			return err
		}
		return output.print(streams.Out, &found)
	}
	return command
}

// refusal is one that can be printed.
type refusal struct {
	adminapi.Refusal

	now time.Time
}

func (r *refusal) names() []string { return []string{r.Metadata.Name} }

func (r *refusal) table() [][]string {
	rows := []row{
		{"Request", r.Metadata.Name},
		{"Refused", r.Metadata.CreationTimestamp.UTC().Format(time.RFC3339)},
		{"Status", strconv.Itoa(r.Status.Code)},
		{"Reason", r.Status.Reason},
	}
	for _, one := range []row{
		{"Cause", r.Status.Cause},
		{"Source", r.Status.Source},
		{"Cluster", r.Status.Cluster},
		{"Mechanism", r.Status.Mechanism},
		{"Credential", r.Status.CredentialID},
		{"User", r.Status.Username},
	} {
		if one.value != "" {
			rows = append(rows, one)
		}
	}
	for i := range r.Status.Lockouts {
		lock := &r.Status.Lockouts[i]
		rows = append(rows, row{"Lock " + lock.Metadata.Name, lock.Status.Kind + " " + lock.Status.Source + ", until " + until(lock.Status.Until, r.now)})
	}
	return attributes(rows)
}
