package collect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ostiary/ostiary/internal/facts"
)

// metrics reads what API servers count of authentication.
func (g *Gatherer) metrics(ctx context.Context, what *Live) {
	for _, replica := range append([]Replica{{Name: what.Server, API: what.API}}, what.Replicas...) {
		body, err := get(ctx, replica.API, Question{Path: "/metrics", Accept: "text/plain"})
		if err != nil {
			g.refused(facts.SourceMetrics, err, "get on /metrics (group system:monitoring)")
			return
		}
		read := Metrics(body)
		read.Server = replica.Name
		g.found.Metrics = append(g.found.Metrics, read)
	}
	g.note(facts.SourceMetrics, facts.Read, len(g.found.Metrics), "", "")
}

// Metrics reads what matters here of the text form of Prometheus. Lines that are none, and all others, are left out.
// Names are those of k8s.io/apiserver and kubernetes/pkg/serviceaccount.
func Metrics(data []byte) facts.Metrics {
	var read facts.Metrics
	const longest = 1 << 20 // far more than a line of metrics
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, longest)
	for lines.Scan() {
		name, labels, value, ok := sample(lines.Text())
		if !ok {
			continue
		}
		switch name {
		case "authentication_attempts":
			if labels["result"] != "success" {
				read.FailedAttempts += count(value)
			}
		case "serviceaccount_stale_tokens_total":
			read.StaleTokens += count(value)
		case "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds":
			if labels["status"] == "success" {
				read.ReloadWorked = seconds(value)
			} else {
				read.ReloadFailed = seconds(value)
			}
		case "apiserver_authentication_jwt_authenticator_jwks_fetch_last_timestamp_seconds":
			fetch := fetchOf(&read, labels["jwt_issuer_hash"])
			if labels["result"] == "success" {
				fetch.Worked = later(fetch.Worked, seconds(value))
			} else {
				fetch.Failed = later(fetch.Failed, seconds(value))
			}
		}
	}
	return read
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func count(value float64) int {
	if value < 0 || value > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(value)
}

func fetchOf(read *facts.Metrics, issuer string) *facts.KeyFetch {
	for i := range read.KeyFetches {
		if read.KeyFetches[i].IssuerHash == issuer {
			return &read.KeyFetches[i]
		}
	}
	read.KeyFetches = append(read.KeyFetches, facts.KeyFetch{IssuerHash: issuer})
	return &read.KeyFetches[len(read.KeyFetches)-1]
}

// sample takes a line apart: name{label="value",...} number. Label values of the metrics that are read here hold no
// quotes.
func sample(line string) (name string, labels map[string]string, value float64, ok bool) {
	if strings.HasPrefix(line, "#") {
		return "", nil, 0, false
	}
	name, rest, labelled := strings.Cut(line, "{")
	if labelled {
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", nil, 0, false
		}
		rest = after
		labels = map[string]string{}
		for pair := range strings.SplitSeq(inner, ",") {
			key, quoted, _ := strings.Cut(pair, "=")
			labels[strings.TrimSpace(key)] = strings.Trim(quoted, `"`)
		}
	} else {
		name, rest, _ = strings.Cut(line, " ")
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", nil, 0, false
	}
	value, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || math.IsNaN(value) {
		return "", nil, 0, false
	}
	return name, labels, value, true
}

// KeySets reads files with what providers publish to verify their tokens with (RFC 7517), by the URLs of the providers.
func (g *Gatherer) KeySets(files map[string]string) error {
	for issuer, name := range files {
		data, err := readBounded(name)
		if err != nil {
			return err
		}
		keys, err := keySet(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		g.found.KeySets = append(g.found.KeySets, facts.KeySet{Issuer: issuer, File: name, Keys: keys})
	}
	if len(files) > 0 {
		g.note(facts.SourceKeySets, facts.Read, len(files), "", "")
	}
	return nil
}

func keySet(data []byte) ([]facts.PublishedKey, error) {
	var parsed struct {
		Keys []struct {
			ID    string `json:"kid"`
			Type  string `json:"kty"`
			N     string `json:"n"`
			Curve string `json:"crv"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(data, &parsed); err != nil || parsed.Keys == nil {
		return nil, errors.New("it is no JSON Web Key Set: {\"keys\": [...]}")
	}
	all := make([]facts.PublishedKey, 0, len(parsed.Keys))
	for _, key := range parsed.Keys {
		described := facts.PublishedKey{ID: key.ID, KeyType: key.Type}
		switch key.Type {
		case "RSA":
			modulus, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(key.N, "="))
			if err != nil {
				return nil, errors.New("an RSA key's modulus is not base64url")
			}
			described.KeyBits = len(bytes.TrimLeft(modulus, "\x00")) * 8 //nolint:mnd // bits of a byte
		case "EC":
			_, _ = fmt.Sscanf(key.Curve, "P-%d", &described.KeyBits) // a curve of another name has no size that is known
		}
		all = append(all, described)
	}
	return all, nil
}
