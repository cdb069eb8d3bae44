package hardening_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/hardening"
	"github.com/ostiary/ostiary/internal/report"
)

const waiversHead = "apiVersion: ostiary.dev/v1alpha1\nkind: Waivers\nwaivers:\n"

func TestWaivers(t *testing.T) {
	t.Parallel()

	waivers, err := hardening.ReadWaivers([]byte(waiversHead + `
- {check: TR-02, subject: "node-*", owner: carol, reason: old agents, until: "2026-11-20"}
- {check: BT-06, owner: carol, reason: lab, until: "2026-11-19"}
`))
	if err != nil {
		t.Fatal(err)
	}
	lastDay := time.Date(2026, 11, 20, 23, 59, 0, 0, time.UTC)
	for _, row := range []struct {
		name  string
		found report.Finding
		now   time.Time
		want  report.State
	}{
		{"on its last day", report.Finding{Rule: "TR-02", Subject: "node-1", State: report.Fail}, lastDay, report.Accepted},
		{"on the stroke of midnight after it", report.Finding{Rule: "TR-02", Subject: "node-1", State: report.Fail}, lastDay.Add(time.Minute), report.Fail},
		{"a day later", report.Finding{Rule: "TR-02", Subject: "node-1", State: report.Fail}, lastDay.Add(time.Hour), report.Fail},
		{"another subject", report.Finding{Rule: "TR-02", Subject: "other", State: report.Fail}, lastDay, report.Fail},
		{"a subject that goes further", report.Finding{Rule: "TR-02", Subject: "node-1/x", State: report.Fail}, lastDay, report.Fail},
		{"another check", report.Finding{Rule: "TR-01", Subject: "node-1", State: report.Warn}, lastDay, report.Warn},
		{"one that is over", report.Finding{Rule: "BT-06", State: report.Fail}, lastDay, report.Fail},
		{"what is unknown is not accepted", report.Finding{Rule: "TR-02", Subject: "node-1", State: report.Unknown}, lastDay, report.Unknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			findings := []report.Finding{row.found}
			waivers.Accept(findings, row.now)
			if findings[0].State != row.want {
				t.Errorf("state %s, want %s", findings[0].State, row.want)
			}
		})
	}
}

func TestWaiversRefused(t *testing.T) {
	t.Parallel()

	for _, row := range []struct{ name, file, want string }{
		{"no end", waiversHead + `- {check: TR-02, owner: a, reason: b}`, "nothing is accepted for ever"},
		{"no owner", waiversHead + `- {check: TR-02, reason: b, until: "2026-01-01"}`, "owner"},
		{"no reason", waiversHead + `- {check: TR-02, owner: a, reason: " ", until: "2026-01-01"}`, "reason"},
		{"no such check", waiversHead + `- {check: TR-2, owner: a, reason: b, until: "2026-01-01"}`, "no check"},
		{"a field that is not known", waiversHead + `- {check: TR-02, subjects: [x], owner: a, reason: b, until: "2026-01-01"}`, "subjects"},
		{"a field twice", waiversHead + `- {check: TR-02, owner: a, owner: b, reason: b, until: "2026-01-01"}`, "owner"},
		{"a bad pattern", waiversHead + `- {check: TR-02, subject: "[", owner: a, reason: b, until: "2026-01-01"}`, "pattern"},
		{"another kind", "apiVersion: v1\nkind: Pod\n", "Waivers"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := hardening.ReadWaivers([]byte(row.file)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
}

func FuzzReadWaivers(f *testing.F) {
	f.Add([]byte(waiversHead + `- {check: TR-02, subject: "node-*", owner: carol, reason: old agents, until: "2026-11-20"}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		waivers, err := hardening.ReadWaivers(data)
		if err != nil {
			return
		}
		waivers.Accept([]report.Finding{{Rule: "TR-02", Subject: "node-1", State: report.Fail}}, now)
	})
}
