package kubectl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/ostiary/ostiary/internal/power"
	"github.com/ostiary/ostiary/internal/report"
)

const canLong = `Answer from RBAC what somebody may do, and through which binding, for any number of questions at once.

Questions are the specs of SubjectAccessReviews, a JSON object a line, on standard input: the same that one would send to an
API server, which takes one at a time and keeps no old answers. Answers are JSON lines in the same order:
{"allowed":true,"through":"ClusterRoleBinding a to ClusterRole b"}. They come from the cluster's RBAC alone, read once, or
from a snapshot; a webhook or ABAC may allow more. Without --questions, the power of
--subject and --subject-group is told.

Exit codes: 0 done, whatever the answers; 2 wrong use, or RBAC could not be read.`

// maxQuestion bounds a line.
const maxQuestion = 1 << 20

// canFlags say who is asked about.
type canFlags struct {
	inventoryFlags

	questions bool
	user      string
	groups    []string
}

func newCan(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	var chosen canFlags
	command := &cobra.Command{
		Use: "can (--subject USER [--subject-group GROUP]... | --questions)", Short: "Answer from RBAC what somebody may do, and why", Long: canLong, Args: failing(cobra.NoArgs),
		Example: `  kubectl ostiary can --subject alice --subject-group dev
  kubectl ostiary can --questions --from-snapshot facts.json < questions.jsonl`,
	}
	chosen.gather.noProbes, chosen.noGate = true, true
	set := command.Flags()
	set.StringVar(&chosen.snapshot, "from-snapshot", "", "Answer from the `FILE` that \"kubectl ostiary snapshot\" wrote, and ask nobody.")
	set.BoolVar(&chosen.questions, "questions", false, "Read questions from standard input.")
	set.StringVar(&chosen.user, "subject", "", "The `USER` to tell the power of.")
	set.StringSliceVar(&chosen.groups, "subject-group", nil, "The groups of --subject.")
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitWith(report.CodeFailed, "%w", err) })
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := chosen.answer(command, flags, streams); err != nil {
			return exitWith(report.CodeFailed, "%w", err)
		}
		return nil
	}
	return command
}

func (c *canFlags) answer(command *cobra.Command, flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) error {
	if c.questions == (c.user != "" || len(c.groups) > 0) {
		return errors.New("give --questions, or --subject and --subject-group")
	}
	built, err := c.build(command.Context(), flags, streams)
	if err != nil {
		return err
	}
	policy := built.Policy()
	if policy == nil {
		return errors.New("not all of RBAC could be read: the right to list roles, clusterroles and their bindings is needed")
	}
	if c.questions {
		return answerAll(policy, streams)
	}
	told := policy.Of(power.With(c.user, c.groups...))
	encoded, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		return err
	}
	return write(streams.Out, string(encoded)+"\n")
}

// canAnswer is one line of the answer.
type canAnswer struct {
	Allowed bool   `json:"allowed"`
	Through string `json:"through,omitempty"`
}

func answerAll(policy *power.Policy, streams genericiooptions.IOStreams) error {
	lines := bufio.NewScanner(streams.In)
	lines.Buffer(nil, maxQuestion)
	out := bufio.NewWriter(streams.Out)
	encoder := json.NewEncoder(out)
	for number := 1; lines.Scan(); number++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var spec authorizationv1.SubjectAccessReviewSpec
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&spec); err != nil {
			return fmt.Errorf("question %d: %w", number, err)
		}
		request, err := requestOf(&spec)
		if err != nil {
			return fmt.Errorf("question %d: %w", number, err)
		}
		var answer canAnswer
		answer.Through, answer.Allowed = policy.Allows(power.Subject{User: spec.User, Groups: spec.Groups}, request)
		if err := encoder.Encode(answer); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the questions: %w", err)
	}
	return out.Flush()
}

// requestOf reads what is asked for. Selectors are refused: RBAC does not look at them.
func requestOf(spec *authorizationv1.SubjectAccessReviewSpec) (power.Request, error) {
	resource, path := spec.ResourceAttributes, spec.NonResourceAttributes
	switch {
	case (resource == nil) == (path == nil):
		return power.Request{}, errors.New("want either resourceAttributes or nonResourceAttributes")
	case path != nil:
		if path.Path == "" {
			return power.Request{}, errors.New("the path is empty")
		}
		return power.Request{Verb: path.Verb, Path: path.Path}, nil
	default:
		return power.Request{
			Verb: resource.Verb, Group: resource.Group, Resource: resource.Resource, Subresource: resource.Subresource,
			Namespace: resource.Namespace, Name: resource.Name,
		}, nil
	}
}
