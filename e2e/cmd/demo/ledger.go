package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ostiary/ostiary/e2e/internal/controlplane"
	"github.com/ostiary/ostiary/e2e/internal/gate"
	"github.com/ostiary/ostiary/e2e/internal/pki"
)

const (
	// guardName is who may shut people out.
	guardName = "grace"
	// cutDeadline bounds the wait for a stream that was cut to say so; a second is what is promised.
	cutDeadline = 10 * time.Second
)

// ledger is that part of the configuration.
func (w *world) ledger() gate.Object {
	return gate.Object{"embedded": gate.Object{"directory": filepath.Join(w.dir, "ledger")}}
}

// grantGuard lets the guard use the ledger, by the cluster's own RBAC.
func (w *world) grantGuard(ctx context.Context) error {
	return w.plane.Grant(ctx, "ostiary-guard", []rbacv1.PolicyRule{
		{APIGroups: []string{"ostiary.dev"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "create"}},
	}, controlplane.User(guardName))
}

// shutOut shows the record, and a person who is shut out: by every way, open streams included, with no CA touched.
func (s *story) shutOut(ctx context.Context, chapter int, ways []way) error {
	s.heading(chapter, "Shut out, everywhere, before the command returns")
	if err := s.grantGuard(ctx); err != nil {
		return err
	}
	pair, err := s.people.Issue(pki.Client(guardName))
	if err != nil {
		return err
	}
	guard, err := s.kubectl("grace", s.gate.Access().WithCertificate(pair))
	if err != nil {
		return err
	}
	s.kubeconfigs = append(s.kubeconfigs, [2]string{guardName + ", who may shut people out", guard.Kubeconfig})
	s.text("Every credential that came in is on record. What has Jane?")
	listed, err := s.run(ctx, guard, "ostiary", "get", "credentials", "--user="+person)
	if err != nil {
		return err
	}
	mechanisms := 0
	for _, w := range ways {
		if w.user == person && strings.Contains(listed.Stdout, w.mechanism) {
			mechanisms++
		}
	}
	s.check(listed.ExitCode == 0 && mechanisms >= 5, "all five of her ways to come in are listed, and what she signed in for")

	s.line("")
	s.text("Jane watches namespaces. Grace shuts her out:")
	jane, err := s.kubectl("jane-watching", ways[0].good)
	if err != nil {
		return err
	}
	watching, err := jane.Start(ctx, "get", "namespaces", "--watch")
	if err != nil {
		return err
	}
	defer watching.Stop()
	limited, cancel := context.WithTimeout(ctx, logDeadline)
	defer cancel()
	if err := watching.WaitFor(limited, "kube-system"); err != nil {
		return err
	}
	revoked, err := s.run(ctx, guard, "ostiary", "revoke", "--user="+person, "--reason=left the company")
	if err != nil {
		return err
	}
	s.check(revoked.ExitCode == 0 && strings.Contains(revoked.Stdout, "In force after"), "in force at every gate when the command returns")
	cut, cancelCut := context.WithTimeout(ctx, cutDeadline)
	defer cancelCut()
	_ = watching.Wait(cut) // it ends with an error, which is the point
	s.output(lastLine(watching.Output()))
	s.check(cut.Err() == nil && strings.Contains(watching.Output(), "not accepted any more"), "her open watch has ended, and says why")
	if err := s.allRefused(ctx, ways, true); err != nil {
		return err
	}

	name := ""
	for field := range strings.FieldsSeq(revoked.Stdout) {
		if strings.HasPrefix(field, "r-") {
			name = field
		}
	}
	lifted, err := s.run(ctx, guard, "ostiary", "lift", name, "--reason=a demonstration")
	if err != nil {
		return err
	}
	s.check(lifted.ExitCode == 0, "lifted, by an act of its own that stays on record")
	return s.allRefused(ctx, ways, false)
}

// allRefused tries all of a person's ways.
func (s *story) allRefused(ctx context.Context, ways []way, want bool) error {
	tried, as := 0, 0
	for _, w := range ways {
		if w.user != person {
			continue
		}
		k, err := s.kubectl(w.name, w.good)
		if err != nil {
			return err
		}
		result, err := k.Run(ctx, "auth", "whoami")
		if err != nil {
			return err
		}
		tried++
		if refused := result.ExitCode != 0 && strings.Contains(result.Stderr, "Unauthorized"); refused == want {
			as++
		}
	}
	what := "every one of her credentials is refused, whatever mechanism it is of; no CA was touched"
	if !want {
		what = "all of her credentials count again"
	}
	s.check(tried >= 5 && as == tried, what)
	return nil
}

// lastLine is the last line of a text.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
