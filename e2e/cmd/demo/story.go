package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/ostiary/ostiary/e2e/internal/binaries"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/kubectl"
)

// logDeadline bounds the wait for a line in a log, which is written before or just after the answer is sent.
const logDeadline = 30 * time.Second

// story tells what happens and counts what did not go as it should.
type story struct {
	*world
	checks, failed int
	kubeconfigs    [][2]string // what, and which file
	invitation     []string    // what else to try
	last           int         // the chapter after the last
}

// firstWay is the number of the first chapter that shows a way to come in.
const firstWay = 3

// tell tells the whole story. An error is something that kept it from being told, not a failed check.
func (s *story) tell(ctx context.Context) error {
	chapter := firstWay
	var ways []way
	for _, way := range s.ways() {
		w, err := way(ctx, chapter)
		if err != nil {
			return err
		}
		if err := s.comeIn(ctx, w); err != nil {
			return err
		}
		ways = append(ways, w)
		chapter++
	}
	if err := s.askedByAnother(ctx, chapter); err != nil {
		return err
	}
	chapter++
	if err := s.signIn(ctx, chapter); err != nil {
		return err
	}
	chapter++
	if err := s.shutOut(ctx, chapter, ways); err != nil {
		return err
	}
	s.last = chapter + 1
	return nil
}

// comeIn shows one way: who one is, what one may, what not, what was recorded, and what a bad credential gets.
func (s *story) comeIn(ctx context.Context, w way) error {
	k, err := s.kubectl(w.name, w.good)
	if err != nil {
		return err
	}
	s.kubeconfigs = append(s.kubeconfigs, [2]string{w.user + " " + w.title, k.Kubeconfig})

	who, err := s.run(ctx, k, "auth", "whoami")
	if err != nil {
		return err
	}
	s.check(who.ExitCode == 0 && strings.Contains(who.Stdout, w.user) && strings.Contains(who.Stdout, w.group),
		"the API server sees "+w.user+", member of "+w.group)

	got, err := s.run(ctx, k, "get", w.may)
	if err != nil {
		return err
	}
	s.check(got.ExitCode == 0, "what the group may see can be seen")

	refused, err := s.run(ctx, k, w.mayNot...)
	if err != nil {
		return err
	}
	s.check(refused.ExitCode != 0 && strings.Contains(refused.Stderr, "orbidden"), "nothing more: 403, "+w.why)

	if err := s.records(ctx, w); err != nil {
		return err
	}
	return s.turnedAway(ctx, w)
}

// records shows the one request in both logs, joined by its id.
func (s *story) records(ctx context.Context, w way) error {
	t := s.terminal
	ctx, cancel := context.WithTimeout(ctx, logDeadline)
	defer cancel()
	t.line("")
	t.text("What Ostiary logged about \"get " + w.may + "\":")
	line, err := s.gate.WaitAccessLog(ctx, func(l gate.Line) bool {
		return l.Mechanism == w.mechanism && l.Verb == "list" && l.Resource == w.may && l.Verdict == "allow"
	})
	if err != nil {
		return err
	}
	t.row("verdict", line.Verdict+" ("+line.Reason+")")
	t.row("mechanism", line.Mechanism)
	t.row("credential_id", line.CredentialID)
	t.row("user", line.User)
	t.row("groups", strings.Join(line.Groups, ", "))
	t.row("request", line.Verb+" "+line.Resource+" of cluster "+line.Cluster+" from "+line.Source)
	t.row("upstream_status", strconv.Itoa(line.UpstreamStatus))
	t.row("request_id", line.RequestID)
	s.check(line.User == w.user && slices.Contains(line.Groups, w.group) && line.UpstreamStatus == 200 && line.CredentialID != "",
		"it names who, with which credential, and what became of it")

	t.line("")
	t.text("What the API server's audit log says under the same id:")
	event, err := s.plane.WaitAudit(ctx, func(e auditv1.Event) bool { return string(e.AuditID) == line.RequestID })
	if err != nil {
		return fmt.Errorf("join the audit log by the id %q: %w", line.RequestID, err)
	}
	t.row("auditID", string(event.AuditID))
	t.row("user.username", event.User.Username)
	t.row("user.groups", strings.Join(event.User.Groups, ", "))
	t.row("request", event.Verb+" "+event.RequestURI)
	if event.ResponseStatus != nil {
		t.row("responseStatus", strconv.Itoa(int(event.ResponseStatus.Code)))
	}
	for name, reason := range event.Annotations {
		if name == "authorization.k8s.io/reason" {
			t.row("allowed by", reason)
		}
	}
	s.check(event.User.Username == w.user && slices.Contains(event.User.Groups, w.group) && event.ImpersonatedUser == nil,
		"the two agree, and audit names "+w.user+", not the gate")
	return nil
}

// turnedAway shows what a bad credential gets.
func (s *story) turnedAway(ctx context.Context, w way) error {
	t := s.terminal
	t.line("")
	t.text(w.badTitle + ":")
	k, err := s.kubectl(w.name+"-bad", w.bad)
	if err != nil {
		return err
	}
	before, err := s.gate.AccessLog()
	if err != nil {
		return err
	}
	bad, err := s.run(ctx, k, "auth", "whoami")
	if err != nil {
		return err
	}
	s.check(bad.ExitCode != 0 && strings.Contains(bad.Stderr, "Unauthorized"), "turned away: 401")
	ctx, cancel := context.WithTimeout(ctx, logDeadline)
	defer cancel()
	known := map[string]bool{}
	for _, line := range before {
		known[line.RequestID] = true
	}
	line, err := s.gate.WaitAccessLog(ctx, func(l gate.Line) bool { return !known[l.RequestID] && l.Status == 401 })
	if err != nil {
		return err
	}
	t.row("verdict", line.Verdict+" ("+line.Reason+")")
	if line.Cause != "" {
		t.row("cause", line.Cause)
	}
	events, err := s.plane.AuditEvents()
	if err != nil {
		return err
	}
	seen := slices.ContainsFunc(events, func(e auditv1.Event) bool { return string(e.AuditID) == line.RequestID })
	s.check(line.Verdict == "deny" && line.UpstreamStatus == 0 && !seen, "the API server never saw the request")
	return nil
}

// run shows and runs kubectl.
func (s *story) run(ctx context.Context, k kubectl.Command, args ...string) (kubectl.Result, error) {
	s.command("kubectl " + strings.Join(args, " "))
	result, err := k.Run(ctx, args...)
	if err != nil {
		return result, err
	}
	s.output(result.Stdout)
	s.output(result.Stderr)
	return result, nil
}

// check counts and shows one thing that must be so.
func (s *story) check(ok bool, what string) {
	s.checks++
	if ok {
		s.good(what)
		return
	}
	s.failed++
	s.bad("this is not so: " + what)
}

// invite says what to try by hand.
func (s *story) invite() {
	t := s.terminal
	t.heading(s.last, "Try it yourself")
	t.text("Everything stays up until Ctrl-C.")
	t.line("")
	for _, file := range s.kubeconfigs {
		t.text(file[0] + ":")
		t.text("  export KUBECONFIG=" + file[1])
	}
	t.text("an administrator, straight at the API server:")
	t.text("  export KUBECONFIG=" + s.plane.AdminKubeconfig)
	for _, line := range s.invitation {
		t.text(line)
	}
	t.line("")
	k := s.paths[binaries.Kubectl]
	for _, example := range []string{
		k + " auth whoami",
		k + " get namespaces --watch",
		k + " auth can-i --list",
		"curl " + s.gate.AdminURL + "/readyz",
		"curl " + s.gate.AdminURL + "/metrics",
		"tail -f " + s.gate.AccessLogFile(),
		"$EDITOR " + s.gate.ConfigFile + "   # a change applies within a second",
	} {
		t.text("  " + t.paint(bold, example))
	}
	t.line("")
}
