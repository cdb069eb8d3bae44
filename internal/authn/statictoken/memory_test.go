package statictoken_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/ostiary/ostiary/internal/authn/statictoken"
)

// G-12: a token that stood in the file in clear text is not in memory once the file was parsed. The CSV reader cuts all
// columns of a line out of one string, so that a single user name kept as it came would keep the token.
func TestTokensDoNotStayInMemory(t *testing.T) {
	// The test itself may hold the token only in disguise: each byte inverted.
	disguised := make([]byte, 64)
	for i, c := range []byte(tokenA) {
		disguised[i] = ^('A' + (c+byte(i))%26)
	}
	var table *statictoken.Table
	done := make(chan struct{})
	go func() { // in a goroutine of its own, whose stack goes with it
		defer close(done)
		file := make([]byte, 0, 256)
		for _, c := range disguised {
			file = append(file, ^c)
		}
		file = append(file, ",alice-in-memory,7,\"dev,ops\"\n"...)
		var err error
		if table, err = statictoken.Parse(file, statictoken.Options{AllowClearText: true}); err != nil {
			t.Error(err)
		}
		clear(file)
	}()
	<-done

	path := filepath.Join(t.TempDir(), "heap")
	dump, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	debug.WriteHeapDump(dump.Fd())
	if err := dump.Close(); err != nil {
		t.Fatal(err)
	}
	heap, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(heap, []byte("alice-in-memory")) {
		t.Error("the dump does not even hold the user's name: the test sees nothing")
	}
	token := make([]byte, len(disguised))
	for i, c := range disguised {
		token[i] = ^c
	}
	if bytes.Contains(heap, token) {
		t.Error("the token is in memory")
	}
	runtime.KeepAlive(table)
}
