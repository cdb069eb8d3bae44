package etcdstore

import (
	"errors"
	"testing"
)

// TestJudgeVersion: versions that may answer with old data are refused, others with holes are warned of.
func TestJudgeVersion(t *testing.T) {
	t.Parallel()
	const good, warned, refused = "good", "warned", "refused"
	for version, want := range map[string]string{
		"": refused, "3": refused, "nonsense": refused, "4.0.0": refused, "2.3.8": refused, "03.5.40": refused,
		"3.4.40": refused, "3.5.0": refused, "3.5.27": refused, "3.6.0": refused, "3.6.8": refused, "3.7.0-rc.1": refused, "3.5.28-rc.0": refused,
		"3.5.28": warned, "3.5.32": warned, "3.6.9": warned, "3.6.13": warned, "3.7.0": warned, "3.7.1-rc.0": warned,
		"3.5.33": good, "3.5.40": good, "3.6.14": good, "3.7.1": good, "3.7.3": good, "3.8.0": good, "3.10.0": good,
	} {
		got := good
		warning, err := judgeVersion(version)
		switch {
		case errors.Is(err, ErrVersion):
			got = refused
		case err != nil:
			t.Errorf("%s: %v", version, err)
		case warning != "":
			got = warned
		}
		if got != want {
			t.Errorf("%q is %s, want %s (%s, %v)", version, got, want, warning, err)
		}
	}
}
