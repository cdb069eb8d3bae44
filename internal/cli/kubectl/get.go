package kubectl

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const getLong = `List what the gate's ledger holds, and what happens at the gate.

credentials: every credential that was seen, or whose issue was: whose it is, until when, when and from where it was used.
revocations: what is shut out, by whom and why; --all shows those too that were lifted.
streams: long-running requests that are open, such as watches, logs, execs and port-forwards.
lockouts: sources that are locked out because too many tokens from there were wrong, and until when.

With --watch, what changes is shown until the command is interrupted.

Exit codes: 0 done; 1 not allowed, or wrong use; 3 done, and a gate did not tell of its streams; 4 no answer, or the watch
ended; 5 the credential was refused.`

// watchEvery is how often --watch asks for streams, of which nothing is kept: a person reads no faster.
const watchEvery = 2 * time.Second

// getFlags say what to list.
type getFlags struct {
	user, mechanism, issuer, state string
	unusedFor, expiresIn           time.Duration
	source, id                     string
	all, watch                     bool
	limit                          int
}

func newGet(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen getFlags
	command := &cobra.Command{
		Use:       "get (credentials | revocations | streams | lockouts)",
		Short:     "List what the gate knows",
		Long:      getLong,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{adminapi.CredentialsResource, adminapi.RevocationsResource, adminapi.StreamsResource, adminapi.LockoutsResource},
		Example: `  # Whose credentials have not been used for a month, and count
  kubectl ostiary get credentials --state active --unused-for 720h
  # What alice has
  kubectl ostiary get credentials --user alice`,
	}
	set := command.Flags()
	set.StringVar(&chosen.user, "user", "", "Only what is about this user name.")
	set.StringVar(&chosen.mechanism, "mechanism", "", "Only what is about this mechanism.")
	set.StringVar(&chosen.issuer, "issuer", "", "Only credentials of this issuer: an OIDC provider's or cluster's URL, or a CA's distinguished name.")
	set.StringVar(&chosen.state, "state", "", "Only credentials in this state: "+strings.Join(adminapi.States(), ", ")+".")
	set.DurationVar(&chosen.unusedFor, "unused-for", 0, "Only credentials that were not used for that long.")
	set.DurationVar(&chosen.expiresIn, "expires-within", 0, "Only credentials that end within that time, or have ended.")
	set.StringVar(&chosen.source, "source", "", "Only lockouts that hold this IP address.")
	set.StringVar(&chosen.id, "credential", "", "Only lockouts on this claimed credential id.")
	set.BoolVar(&chosen.all, "all", false, "Revocations that were lifted too.")
	set.BoolVarP(&chosen.watch, "watch", "w", false, "Go on, and show what changes.")
	set.IntVar(&chosen.limit, "limit", 0, "At most that many; 0 for all.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		ctx := command.Context()
		var list func(context.Context, *getFlags) (listing, error)
		var how watched
		switch args[0] {
		case adminapi.StreamsResource:
			return poll(ctx, &chosen, output, streams, server.streams)
		case adminapi.LockoutsResource:
			return poll(ctx, &chosen, output, streams, server.lockouts)
		case adminapi.CredentialsResource:
			list, how = server.credentials, watchedCredentials()
		default:
			list, how = server.revocations, watchedRevocations()
		}
		result, err := list(ctx, &chosen)
		if err != nil {
			return err
		}
		if err := output.print(streams.Out, result); err != nil || !chosen.watch {
			return err
		}
		return server.watch(ctx, &chosen, output, streams, how, result.version())
	}
	return command
}

func watchedCredentials() watched {
	return watched{
		path: adminapi.CredentialsPath, query: (*getFlags).credentialQuery,
		show: func(object []byte) (printed, error) {
			list := &credentialList{CredentialList: adminapi.CredentialList{Items: make([]adminapi.Credential, 1)}, now: time.Now()}
			return list, json.Unmarshal(object, &list.Items[0])
		},
	}
}

func watchedRevocations() watched {
	return watched{
		path: adminapi.RevocationsPath, query: (*getFlags).revocationQuery,
		show: func(object []byte) (printed, error) {
			list := &revocationList{RevocationList: adminapi.RevocationList{Items: make([]adminapi.Revocation, 1)}, now: time.Now()}
			return list, json.Unmarshal(object, &list.Items[0])
		},
	}
}

// poll prints a list, and with --watch the list again whenever it changed.
func poll(ctx context.Context, chosen *getFlags, output *format, streams genericiooptions.IOStreams, list func(context.Context, *getFlags) (printed, error)) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for shown := ""; ; {
		result, err := list(ctx, chosen)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(result)
		if err != nil {
			return exitWith(ExitFailed, "%w", err)
		}
		if string(encoded) != shown {
			shown = string(encoded)
			if err := output.print(streams.Out, result); err != nil {
				return err
			}
		}
		if partial, ok := result.(interface{ missing() []string }); ok && len(partial.missing()) > 0 && !chosen.watch {
			missing := partial.missing()
			return exitWith(ExitNotReady, "not complete; not in the list: %s", strings.Join(missing, ", "))
		}
		if !chosen.watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// revocationQuery turns flags into what the server is asked.
func (f *getFlags) revocationQuery(time.Time) (url.Values, error) {
	query := url.Values{}
	set(query, map[string]string{"user": f.user, "mechanism": f.mechanism})
	if f.all {
		query.Set("past", "true")
	}
	return query, nil
}

// revocations lists all pages.
func (s *server) revocations(ctx context.Context, chosen *getFlags) (listing, error) {
	all := &revocationList{RevocationList: adminapi.RevocationList{TypeMeta: adminapi.TypeOf(adminapi.RevocationListKind), Items: []adminapi.Revocation{}}, now: time.Now()}
	query, err := chosen.revocationQuery(all.now)
	if err != nil {
		return nil, err
	}
	err = s.ledgerPages(query, chosen.limit, func(query url.Values) (int, adminapi.ListMeta, error) {
		var page adminapi.RevocationList
		err := s.get(ctx, adminapi.RevocationsPath, query, &page, adminapi.RevocationListKind)
		all.Items = append(all.Items, page.Items...)
		all.Metadata.ResourceVersion = page.Metadata.ResourceVersion
		return len(page.Items), page.Metadata, err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ledgerPages asks for one page of a list after the other, until there are no more or as many items as are wanted; 0 wants
// all. ask says how many items a page had.
func (*server) ledgerPages(query url.Values, limit int, ask func(url.Values) (int, adminapi.ListMeta, error)) error {
	for had := 0; ; {
		if limit > 0 {
			query.Set("limit", strconv.Itoa(min(limit-had, revokeBatch)))
		}
		items, meta, err := ask(query)
		if err != nil {
			return err
		}
		had += items
		if meta.Continue == "" || limit > 0 && had >= limit {
			return nil
		}
		query.Set("continue", meta.Continue)
	}
}

// streams lists open streams.
func (s *server) streams(ctx context.Context, chosen *getFlags) (printed, error) {
	list := &streamList{now: time.Now()}
	query := url.Values{}
	set(query, map[string]string{"user": chosen.user, "mechanism": chosen.mechanism})
	if err := s.get(ctx, adminapi.StreamsPath, query, &list.StreamList, adminapi.StreamListKind); err != nil {
		return nil, err
	}
	if chosen.limit > 0 && len(list.Items) > chosen.limit {
		list.Items = list.Items[:chosen.limit]
	}
	return list, nil
}

// set sets what is not empty.
func set(query url.Values, values map[string]string) {
	for name, value := range values {
		if value != "" {
			query.Set(name, value)
		}
	}
}

// get reads an object, which must be of a kind.
func (s *server) get(ctx context.Context, path string, query url.Values, answer any, kind string) error {
	return s.into(ctx, withQuery(s.client.RESTClient().Get().AbsPath(path), query), answer, kind)
}

func withQuery(request *rest.Request, query url.Values) *rest.Request {
	for name, values := range query {
		for _, value := range values {
			request = request.Param(name, value)
		}
	}
	return request
}

// into sends a request and reads the answer.
func (s *server) into(ctx context.Context, request *rest.Request, answer any, kind string) error {
	body, err := request.DoRaw(ctx)
	if err != nil {
		return s.explainLedger(err, body)
	}
	var meta adminapi.TypeMeta
	if err := json.Unmarshal(body, &meta); err != nil || meta.Is(kind) != nil {
		return exitWith(ExitNotAGate, "%s is %w with a ledger: it does not answer with a %s", s.url, errNotAGate, kind)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return exitWith(ExitFailed, "%s: the answer cannot be read: %w", s.url, err)
	}
	return nil
}

// revocationList is a list that can be printed.
type revocationList struct {
	adminapi.RevocationList

	now time.Time
}

func (l *revocationList) version() string { return l.Metadata.ResourceVersion }

func (l *revocationList) names() []string { return names(l.Items) }

// names are the names of revocations that were made.
func names(items []adminapi.Revocation) []string {
	var all []string
	for i := range items {
		if name := items[i].Metadata.Name; name != "" {
			all = append(all, name)
		}
	}
	return all
}

func (l *revocationList) table() [][]string {
	table := [][]string{{"NAME", "SHUTS OUT", "STATE", "AGE", "BY", "REASON"}}
	for i := range l.Items {
		one := &l.Items[i]
		table = append(table, []string{
			one.Metadata.Name, targetText(&one.Spec), stateText(one), duration.HumanDuration(l.now.Sub(one.Metadata.CreationTimestamp)),
			one.Status.Actor.Username, one.Spec.Reason,
		})
	}
	return table
}

// stateText says whether a revocation stands.
func stateText(r *adminapi.Revocation) string {
	switch {
	case r.Status.Lifted != nil:
		return "lifted"
	case r.Status.Ended:
		return "ended"
	case !r.Spec.Until.IsZero():
		return "until " + r.Spec.Until.UTC().Format(time.RFC3339)
	default:
		return "stands"
	}
}

// streamList is a list that can be printed.
type streamList struct {
	adminapi.StreamList

	now time.Time
}

// missing are the gates that did not answer.
func (l *streamList) missing() []string {
	shown := make([]string, 0, len(l.Metadata.Missing))
	for _, name := range l.Metadata.Missing {
		shown = append(shown, printable(name))
	}
	if n := l.Metadata.RemainingItemCount; n > 0 {
		shown = append(shown, strconv.Itoa(n)+" more streams")
	}
	return shown
}

func (l *streamList) names() []string {
	var all []string
	for i := range l.Items {
		all = append(all, l.Items[i].RequestID)
	}
	return all
}

func (l *streamList) table() [][]string { return streamTable(l.Items) }

func streamTable(streams []adminapi.Stream) [][]string {
	table := [][]string{{"USER", "MECHANISM", "CLUSTER", "STREAM", "SOURCE", "SINCE", "REQUEST ID"}}
	for i := range streams {
		one := &streams[i]
		what := one.Verb + " " + one.Resource + one.Path
		if one.Name != "" {
			what += " " + one.Name
		}
		if one.Namespace != "" {
			what += " in " + one.Namespace
		}
		user := one.Username
		if one.ActingAs != "" {
			user += " as " + one.ActingAs
		}
		table = append(table, []string{user, one.Mechanism, one.Cluster, what, one.Source, one.Since.UTC().Format(time.RFC3339), one.RequestID})
	}
	return table
}

const liftLong = `End a revocation: what it shut out counts again, as far as nothing else shuts it out. The record keeps both.

Exit codes: 0 lifted at every gate; 3 lifted, and a gate did not answer; 1 not allowed, or there is none that stands of that
name; 4 no answer; 5 the credential was refused.`

func newLift(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var reason string
	command := &cobra.Command{Use: "lift NAME", Short: "End a revocation", Long: liftLong, Args: cobra.ExactArgs(1)}
	command.Flags().StringVar(&reason, "reason", "", "Why, for those who read the record. Required.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return exitWith(ExitFailed, "give a --reason: it is what others find in the record")
		}
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		var lifted oneRevocation
		path := adminapi.RevocationsPath + "/" + url.PathEscape(args[0]) + "/" + adminapi.LiftSubresource
		if err := server.post(command.Context(), path, nil, &adminapi.Lift{TypeMeta: adminapi.TypeOf(adminapi.LiftKind), Reason: reason},
			&lifted.Revocation, adminapi.RevocationKind); err != nil {
			return err
		}
		if err := output.print(streams.Out, &lifted); err != nil {
			return err
		}
		if force := lifted.Status.InForce; force != nil && !force.Complete {
			return exitWith(ExitNotReady, "lifted; a gate did not answer")
		}
		return nil
	}
	return command
}

// oneRevocation is a revocation that can be printed.
type oneRevocation struct{ adminapi.Revocation }

func (r *oneRevocation) names() []string { return []string{r.Metadata.Name} }

func (r *oneRevocation) table() [][]string {
	rows := []row{
		{"Name", r.Metadata.Name},
		{"Shuts out", targetText(&r.Spec)},
		{"State", stateText(&r.Revocation)},
		{"Reason", r.Spec.Reason},
		{"Created", r.Metadata.CreationTimestamp.UTC().Format(time.RFC3339)},
		{"By", actorText(&r.Status.Actor)},
	}
	if from := r.Spec.IssuedFrom; !from.IsZero() {
		rows = append(rows, row{"Issued from", from.UTC().Format(time.RFC3339)})
	}
	if until := r.Spec.IssuedUntil; !until.IsZero() {
		rows = append(rows, row{"Issued until", until.UTC().Format(time.RFC3339)})
	}
	if lifted := r.Status.Lifted; lifted != nil {
		rows = append(rows, row{"Lifted", lifted.At.UTC().Format(time.RFC3339)}, row{"Lifted by", actorText(&lifted.Actor)}, row{"Lifted because", lifted.Reason})
	}
	if r.Status.InForce != nil {
		rows = append(rows, forceRows(r.Status.InForce)...)
	}
	return attributes(rows)
}

func actorText(actor *adminapi.Actor) string {
	text := actor.Username
	if actor.CredentialID != "" {
		text += ", " + actor.Mechanism + " " + actor.CredentialID
	}
	if actor.Source != "" {
		text += ", from " + actor.Source
	}
	return text
}
