package main

import (
	"context"
	"strings"

	"github.com/ostiary/ostiary/e2e/internal/gate"
)

// askedByAnother shows the other way in: an API server that Ostiary does not stand in front of asks it about tokens.
func (s *story) askedByAnother(ctx context.Context, chapter int) error {
	s.heading(chapter, "Asked by another API server, as its authentication webhook")
	s.text("Jane signs in at the provider and goes straight to the second API server, which does not know the provider.")
	token, err := s.provider.Login(ctx, person, s.password)
	if err != nil {
		return err
	}
	k, err := s.kubectl("jane-other-cluster", s.other.Access().WithToken(token))
	if err != nil {
		return err
	}
	s.kubeconfigs = append(s.kubeconfigs, [2]string{person + " at the API server that asks Ostiary", k.Kubeconfig})
	who, err := s.run(ctx, k, "auth", "whoami")
	if err != nil {
		return err
	}
	s.check(who.ExitCode == 0 && strings.Contains(who.Stdout, person) && strings.Contains(who.Stdout, group),
		"the second API server sees "+person+", member of "+group)
	ctx, cancel := context.WithTimeout(ctx, logDeadline)
	defer cancel()
	line, err := s.gate.WaitAccessLog(ctx, func(l gate.Line) bool { return l.Kind == "token_review" && l.Verdict == "allow" })
	if err != nil {
		return err
	}
	s.row("cluster", line.Cluster)
	s.row("mechanism", line.Mechanism)
	s.row("credential_id", line.CredentialID)
	s.row("user", line.User)
	s.check(line.User == person && line.Mechanism == "jwt" && line.Cluster == callerName, "Ostiary recorded who was asked about, and by whom")

	tampered, err := tamper(token, "groups", []string{"system:masters"})
	if err != nil {
		return err
	}
	bad, err := s.kubectl("jane-other-cluster-bad", s.other.Access().WithToken(tampered))
	if err != nil {
		return err
	}
	refused, err := s.run(ctx, bad, "auth", "whoami")
	if err != nil {
		return err
	}
	s.check(refused.ExitCode != 0 && strings.Contains(refused.Stderr, "Unauthorized"), "the same token with its group changed is turned away: 401")
	return nil
}
