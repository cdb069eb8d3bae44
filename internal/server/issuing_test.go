package server

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/session"
)

// TestForgeriesAreOneAlarm counts every forged certificate, says it once for each issuing key, and goes on to show it.
func TestForgeriesAreOneAlarm(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	counted := 0
	b := &bureau{book: session.NewBook(nil), alarms: forgeries{
		logger: slog.New(slog.NewTextHandler(&log, nil)), counted: func() { counted++ }, last: make(map[string]time.Time),
	}}
	if b.notice() != "" {
		t.Error("an alarm without a cause")
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1)}
	for range 100_000 {
		b.alarms.note(&session.Issuing{ID: "one", Chain: []string{"SPKISHA256=11", "SPKISHA256=00"}}, leaf)
	}
	if n := strings.Count(log.String(), "alarm: "); n != 1 || counted != 100_000 || !strings.Contains(log.String(), "SPKISHA256=11") {
		t.Errorf("%d alarms, %d counted\n%s", n, counted, log.String())
	}
	b.alarms.note(&session.Issuing{ID: "two", Chain: []string{"SPKISHA256=22", "SPKISHA256=00"}}, leaf)
	if n := strings.Count(log.String(), "alarm: "); n != 2 {
		t.Errorf("%d alarms for two issuing keys", n)
	}
	if b.notice() == "" {
		t.Error("the status says nothing")
	}
}
