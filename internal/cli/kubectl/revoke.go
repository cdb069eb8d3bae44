package kubectl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/adminapi"
)

const revokeLong = `Shut out a credential, a person, an issuer or a whole mechanism, at every gate, and cut the streams that are open.

Say what: --id, --fingerprint, --serial with --issuer, --jti with --issuer, or --file for single credentials; --user or
--service-account for everything of somebody; --issuer or --ca for everything of an issuer; --mechanism for all of a
mechanism; --crl for every certificate of a revocation list.

The command returns when it is in force at every gate: from then on nothing of it is let in, and its streams are cut. A gate
that does not answer is waited for until it has certainly stopped letting anybody in by what it knew before. Nothing is
changed in the cluster, and no CA is touched. "kubectl ostiary lift" undoes it.

Exit codes: 0 in force at every gate; 3 in force, and a gate that did not answer may keep streams open for five seconds;
1 refused or not done; 4 no answer: list the revocations to see what stands; 5 the credential was refused.`

// revokeFlags is what the command line says about a revocation.
type revokeFlags struct {
	targetFlags

	reason                  string
	soFar                   bool
	issuedFrom, issuedUntil string
	until                   string
	dryRun, includingMyself bool
}

func newRevoke(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen revokeFlags
	command := &cobra.Command{
		Use:   "revoke",
		Short: "Shut out a credential, a person, an issuer or a mechanism",
		Long:  revokeLong,
		Example: `  # One stolen certificate
  kubectl ostiary revoke --file alice.crt --reason "laptop stolen"
  # A person, now and until lifted, whatever they use
  kubectl ostiary revoke --user alice --reason "left the company"
  # What a pipeline has by now; what it gets from now on counts
  kubectl ostiary revoke --service-account ci/deployer --so-far --reason "leaked in a build log"`,
		Args: cobra.NoArgs,
	}
	chosen.add(command)
	set := command.Flags()
	set.StringVar(&chosen.reason, "reason", "", "Why, for those who read the record. Required.")
	set.BoolVar(&chosen.soFar, "so-far", false, "Only what was issued by now. Without it, what is to come is shut out too, until lifted.")
	set.StringVar(&chosen.issuedFrom, "issued-from", "", "Only what says that it was issued then or later (RFC 3339).")
	set.StringVar(&chosen.issuedUntil, "issued-until", "", "Only what says that it was issued then or before (RFC 3339).")
	set.StringVar(&chosen.until, "until", "", "When it ends by itself: a time (RFC 3339), or from now, such as 24h. Without it, it stands until it is lifted.")
	set.BoolVar(&chosen.dryRun, "dry-run", false, "Show which open streams it would cut, and do nothing.")
	set.BoolVar(&chosen.includingMyself, "including-myself", false, "Do it also where it shuts out the credential that this command uses.")
	output := addOutputFlag(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		spec, err := chosen.spec(time.Now())
		if err != nil {
			return exitWith(ExitFailed, "%w", err)
		}
		targets, err := chosen.targets()
		if err != nil {
			return exitWith(ExitFailed, "%w", err)
		}
		server, err := connect(flags, streams)
		if err != nil {
			return err
		}
		result, err := server.revoke(command.Context(), targets, spec, &chosen)
		if result != nil {
			if printErr := output.print(streams.Out, result); printErr != nil {
				return printErr
			}
		}
		return err
	}
	return command
}

// spec reads all but the target.
func (f *revokeFlags) spec(now time.Time) (spec adminapi.RevocationSpec, err error) {
	if strings.TrimSpace(f.reason) == "" {
		return spec, errors.New("give a --reason: it is what others find in the record")
	}
	spec.Reason, spec.Scope = f.reason, adminapi.ScopeAlways
	if f.soFar {
		spec.Scope = adminapi.ScopeSoFar
	}
	for text, into := range map[*string]*time.Time{&f.issuedFrom: &spec.IssuedFrom, &f.issuedUntil: &spec.IssuedUntil} {
		if *text == "" {
			continue
		}
		if *into, err = time.Parse(time.RFC3339, *text); err != nil {
			return spec, fmt.Errorf("%q is no time such as %s", *text, now.UTC().Format(time.RFC3339))
		}
	}
	if f.until == "" {
		return spec, nil
	}
	if after, err := time.ParseDuration(f.until); err == nil {
		spec.Until = now.Add(after).Truncate(time.Second)
		return spec, nil
	}
	if spec.Until, err = time.Parse(time.RFC3339, f.until); err != nil {
		return spec, fmt.Errorf("--until %q is neither a time such as %s nor a duration such as 24h", f.until, now.UTC().Format(time.RFC3339))
	}
	return spec, nil
}

// revokeBatch is how many revocations go in one request.
const revokeBatch = 500

// revoke asks for the revocations, in as few requests as can be.
func (s *server) revoke(ctx context.Context, targets []adminapi.Target, spec adminapi.RevocationSpec, flags *revokeFlags) (*revoked, error) {
	result := &revoked{RevocationList: adminapi.RevocationList{TypeMeta: adminapi.TypeOf(adminapi.RevocationListKind)}, dryRun: flags.dryRun}
	query := url.Values{}
	if flags.dryRun {
		query.Set("dryRun", metav1.DryRunAll)
	}
	if flags.includingMyself {
		query.Set("includingMyself", "true")
	}
	for len(targets) > 0 {
		some := targets[:min(revokeBatch, len(targets))]
		targets = targets[len(some):]
		list := adminapi.RevocationList{TypeMeta: adminapi.TypeOf(adminapi.RevocationListKind)}
		for _, target := range some {
			one := adminapi.Revocation{TypeMeta: adminapi.TypeOf(adminapi.RevocationKind), Spec: spec}
			one.Spec.Target = target
			list.Items = append(list.Items, one)
		}
		var answer adminapi.RevocationList
		if err := s.post(ctx, adminapi.RevocationsPath, query, &list, &answer, adminapi.RevocationListKind); err != nil {
			if len(result.Items) > 0 {
				return result, exitWith(exitCode(err), "%d revocations are in force, the rest is not: %w", len(result.Items), err)
			}
			return nil, err
		}
		result.Items = append(result.Items, answer.Items...)
	}
	if !result.complete() {
		return result, exitWith(ExitNotReady, "in force; a gate did not answer, and may keep streams open for five seconds")
	}
	return result, nil
}

// post sends an object and reads the answer, which must be of a kind.
func (s *server) post(ctx context.Context, path string, query url.Values, object, answer any, kind string) error {
	body, err := json.Marshal(object)
	if err != nil {
		return exitWith(ExitFailed, "%w", err)
	}
	request := s.client.RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).MaxRetries(0)
	return s.into(ctx, withQuery(request, query), answer, kind)
}

// explainLedger says what a failed request about the ledger means. The body of the answer says it best.
func (s *server) explainLedger(err error, body []byte) error {
	answer, answered := errors.AsType[*apierrors.StatusError](err)
	if !answered || apierrors.IsUnauthorized(err) {
		return s.explain(err)
	}
	var status metav1.Status
	switch {
	case json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Message != "":
		return exitWith(ExitFailed, "%s: %s", s.url, printable(status.Message))
	case answer.Status().Code == http.StatusNotFound:
		return exitWith(ExitNotAGate, "%s is %w with a ledger", s.url, errNotAGate)
	default:
		return s.explain(err)
	}
}

// revoked is what became of a request to revoke.
type revoked struct {
	adminapi.RevocationList

	dryRun bool
}

func (r *revoked) complete() bool {
	for i := range r.Items {
		if force := r.Items[i].Status.InForce; force != nil && !force.Complete {
			return false
		}
	}
	return true
}

func (r *revoked) names() []string { return names(r.Items) }

func (r *revoked) table() [][]string {
	if r.dryRun {
		var streams []adminapi.Stream
		for i := range r.Items {
			streams = append(streams, r.Items[i].Status.WouldCut...)
		}
		return append([][]string{{"WOULD CUT", strconv.Itoa(len(streams)) + " streams"}}, streamTable(streams)...)
	}
	var rows []row
	const shown = 10 // of a CRL's thousands, the first say enough
	for i := range r.Items {
		one := &r.Items[i]
		if i < shown {
			rows = append(rows, row{"Revocation", one.Metadata.Name}, row{"Shuts out", targetText(&one.Spec)})
		}
		if force := one.Status.InForce; force != nil {
			rows = append(rows, forceRows(force)...)
		}
	}
	if len(r.Items) > shown {
		rows = append(rows, row{"Revocations", strconv.Itoa(len(r.Items))})
	}
	return attributes(rows)
}

// forceRows say how a change came to be in force.
func forceRows(force *adminapi.InForce) []row {
	applied, fenced := 0, []string{}
	for _, replica := range force.Replicas {
		if replica.State == "applied" {
			applied++
		} else {
			fenced = append(fenced, replica.Name)
		}
	}
	rows := []row{
		{"In force after", strconv.FormatFloat(force.TookMilliseconds, 'f', 1, 64) + " ms"},
		{"At gates", strconv.Itoa(applied) + " of " + strconv.Itoa(len(force.Replicas))},
	}
	if len(fenced) > 0 {
		rows = append(rows, row{"Silent gates", strings.Join(fenced, ", ") + ": they let nobody in by what they knew before"})
	}
	return append(rows, row{"Streams cut", strconv.Itoa(force.StreamsCut)})
}
