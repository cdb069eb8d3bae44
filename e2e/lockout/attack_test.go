package lockout_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a process that attacks, which is this program once more, finds in its environment: where the gate is, the file of its CA
// and how many addresses guess.
const (
	attackedURL, attackedCA, attackSources = "OSTIARY_SWARM_URL", "OSTIARY_SWARM_CA", "OSTIARY_SWARM_SOURCES"
)

// attacking is an attack under way. err, tally and early may be read when over is closed.
type attacking struct {
	over  chan struct{}
	err   error
	tally tally
	early uint64 // memory of the gate after a tenth of the addresses
}

// tally is what came of an attack. The process prints one after a tenth of it, and one at its end.
type tally struct {
	// Connected and Failed are addresses; Over are those that had more guesses looked at than they may.
	Connected, Failed, Over int64
	// Judged and Refused are guesses.
	Judged, Refused int64
}

// attack has a process of its own attack. It takes the time of the processors that nobody else wants: real attackers compute on
// machines of their own, not on those of the gate and of the people who use it. Beside other tests there is no such time, and it takes
// a little of theirs.
func (h *house) attack(t *testing.T) *attacking {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ca := h.dir + "/swarm-ca.pem"
	if err := os.WriteFile(ca, h.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	priority := []string{"nice", "-n", "10", program}
	if os.Getenv(attackSources) != "" {
		priority = []string{"chrt", "--idle", "0", program} // it is measured, alone
	}
	command := exec.CommandContext(t.Context(), priority[0], priority[1:]...)
	command.Env = append(os.Environ(), attackedURL+"="+h.URL, attackedCA+"="+ca, fmt.Sprintf("%s=%d", attackSources, sources(t)))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	a := &attacking{over: make(chan struct{})}
	go func() {
		defer close(a.over)
		decoder := json.NewDecoder(out)
		a.err = decoder.Decode(&a.tally)
		a.early = uint64(h.metric(t, "process_resident_memory_bytes"))
		a.err = errors.Join(a.err, decoder.Decode(&a.tally), command.Wait())
	}()
	return a
}

// attackFromEnvironment is the process that attacks. It reports whether this is one.
func attackFromEnvironment(ctx context.Context) (is bool, err error) {
	url := os.Getenv(attackedURL)
	if url == "" {
		return false, nil
	}
	ca, err := os.ReadFile(os.Getenv(attackedCA))
	if err != nil {
		return true, err
	}
	s := &swarm{url: url, roots: x509.NewCertPool()}
	s.roots.AppendCertsFromPEM(ca)
	if _, err := fmt.Sscan(os.Getenv(attackSources), &s.sources); err != nil {
		return true, err
	}
	out := json.NewEncoder(os.Stdout)
	s.run(ctx, func(done int64) {
		if done == s.sources/10 {
			err = out.Encode(s.tally())
		}
	})
	return true, errors.Join(err, out.Encode(s.tally()))
}

// swarm guesses.
type swarm struct {
	url   string
	roots *x509.CertPool
	// sources is how many addresses guess.
	sources int64

	connected, failed, judged, refused, over atomic.Int64
}

// tally is what came of it so far.
func (s *swarm) tally() *tally {
	return &tally{
		Connected: s.connected.Load(), Failed: s.failed.Load(), Over: s.over.Load(), Judged: s.judged.Load(), Refused: s.refused.Load(),
	}
}

// run has every address guess once: most at the victim's secret, some at everything until they are locked.
func (s *swarm) run(ctx context.Context, progress func(done int64)) {
	var next, done atomic.Int64
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= s.sources {
					return
				}
				s.attack(ctx, i)
				progress(done.Add(1))
			}
		})
	}
	all.Wait()
}

// attack is one address' part.
func (s *swarm) attack(ctx context.Context, i int64) {
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], 10<<24|uint32(i)<<4|1)
	tokens, most := make([]string, 0, prefixBudget+10), pairBudget
	for range pairBudget + 2 {
		tokens = append(tokens, victimID+"."+randomPart())
	}
	if i%10 == 0 {
		most = prefixBudget
		for len(tokens) < prefixBudget+10 {
			tokens = append(tokens, wrongPassword())
		}
	}
	began := time.Now()
	statuses, err := s.guess(ctx, netip.AddrFrom4(four), tokens)
	if err != nil {
		s.failed.Add(1)
	}
	if len(statuses) > 0 {
		s.connected.Add(1)
	}
	looked := 0
	for _, status := range statuses {
		if status == http.StatusTooManyRequests {
			s.refused.Add(1)
		} else {
			looked++
		}
	}
	s.judged.Add(int64(looked))
	if looked > most+int(time.Since(began)/comesBack) { // strangers wait for refusals when they are many
		s.over.Add(1)
	}
}

// guess sends all tokens in one go, over one connection, and reads the answers.
func (s *swarm) guess(ctx context.Context, from netip.Addr, tokens []string) (statuses []int, err error) {
	conn, err := dialFrom(ctx, s.url, from, &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		return nil, err
	}
	var requests bytes.Buffer
	for _, token := range tokens {
		_, _ = fmt.Fprintf(&requests, "GET /api HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\n\r\n", token)
	}
	if _, err := conn.Write(requests.Bytes()); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	for range tokens {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return statuses, err
		}
		statuses = append(statuses, response.StatusCode)
	}
	return statuses, nil
}

// dialFrom connects as a balancer does for a client of its own: with a PROXY header of version 2 before TLS.
func dialFrom(ctx context.Context, url string, from netip.Addr, config *tls.Config) (*tls.Conn, error) {
	plain, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(balancer)}}).DialContext(ctx, "tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		return nil, err
	}
	source := from.As4()
	header := slices.Concat(
		[]byte("\r\n\r\n\x00\r\nQUIT\n"), []byte{0x21, 0x11, 0, 12}, source[:], []byte{127, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb},
	)
	if _, err := plain.Write(header); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	config = config.Clone()
	config.ServerName = "localhost"
	secured := tls.Client(plain, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return secured, nil
}
