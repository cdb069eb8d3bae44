package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ostiary/ostiary/internal/config"
	"github.com/ostiary/ostiary/internal/lockout"
)

// TestLockout: it is on where nothing is written, and off only where that is.
func TestLockout(t *testing.T) {
	t.Parallel()
	tight := lockout.Defaults()
	tight.PrefixBurst, tight.PairLock, tight.PairLongest = 3, 48*time.Hour, 48*time.Hour
	for _, tt := range []struct {
		name, section string
		off           bool
		want          lockout.Settings
		refused       string
	}{
		{name: "left out", want: lockout.Defaults()},
		{name: "empty", section: "lockout: {}", want: lockout.Defaults()},
		{name: "some", section: "lockout: {prefix: {burst: 3}, pair: {lock: 48h}}", want: tight},
		{name: "off", section: "lockout: {disabled: true}", off: true},
		{name: "off, and more", section: "lockout: {disabled: true, prefix: {burst: 3}}", refused: "lockout.disabled"},
		{name: "negative", section: "lockout: {prefix: {burst: -1}}", refused: "lockout.prefix.burst"},
		{name: "too many", section: "lockout: {pair: {burst: 256}}", refused: "lockout.pair.burst"},
		{name: "too fast", section: "lockout: {prefix: {refill: 1ms}}", refused: "lockout.prefix.refill"},
		{name: "shrinking", section: "lockout: {pair: {lock: 1h, longestLock: 1m}}", refused: "lockout.pair.longestLock"},
		{name: "unknown", section: "lockout: {enabled: false}", refused: "lockout.enabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checked, err := config.Load(everything(t, "tokenRequests: {maxLifetime: 1h}\n", tt.section+"\ntokenRequests: {maxLifetime: 1h}\n"))
			switch {
			case tt.refused != "":
				if err == nil || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("want %s refused: %v", tt.refused, err)
				}
			case err != nil:
				t.Error(err)
			case checked.Lockout.Disabled != tt.off || checked.Lockout.Settings != tt.want:
				t.Errorf("%+v", checked.Lockout)
			}
		})
	}
}
