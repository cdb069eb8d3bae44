package memo_test

import (
	"sync"
	"testing"

	"github.com/ostiary/ostiary/internal/memo"
)

// TestMoreKeysThanRoom: whatever pushes out whatever, nobody gets another key's result.
func TestMoreKeysThanRoom(t *testing.T) {
	t.Parallel()
	m := memo.New[int, int]()
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 50_000 {
				key := i*4 + worker
				m.Put(key, -key)
				if value, ok := m.Get(key / 2); ok && value != -(key/2) {
					t.Errorf("key %d has %d", key/2, value)
				}
			}
		})
	}
	group.Wait()
}

func TestGetAllocatesNothing(t *testing.T) {
	m := memo.New[*int, string]()
	key := new(int)
	if _, ok := m.Get(key); ok {
		t.Error("an empty memo knows something")
	}
	m.Put(key, "x")
	if n := testing.AllocsPerRun(100, func() {
		if value, ok := m.Get(key); !ok || value != "x" {
			t.Error("forgotten")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
