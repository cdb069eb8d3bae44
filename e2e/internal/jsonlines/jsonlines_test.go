package jsonlines_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ostiary/ostiary/e2e/internal/jsonlines"
)

type line struct {
	N int `json:"n"`
}

func read(t *testing.T, log *jsonlines.Log[line], want ...int) {
	t.Helper()
	lines, err := log.Read()
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, one := range lines {
		got = append(got, one.N)
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func write(t *testing.T, file, content string, flags int) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	log := jsonlines.Open[line](file)
	write(t, file, "{\"n\":1}\npanic: words\n{\"n\"", os.O_APPEND)
	read(t, log, 1)
	write(t, file, ":2}\n", os.O_APPEND)
	read(t, log, 1, 2)
	read(t, log, 1, 2)
	write(t, file, "{\"n\":3}\n", os.O_TRUNC)
	read(t, log, 3)
	other := file + ".new"
	write(t, other, "{\"n\":4}\n{\"n\":5}\n{\"n\":6}\n", 0)
	if err := os.Rename(other, file); err != nil {
		t.Fatal(err)
	}
	read(t, log, 4, 5, 6)
}

func TestWait(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	log := jsonlines.Open[line](file)
	found := make(chan error, 1)
	go func() {
		one, err := log.Wait(t.Context(), func(l line) bool { return l.N > 1 })
		if err == nil && one.N != 2 {
			err = errors.New("another line was found")
		}
		found <- err
	}()
	write(t, file, "{\"n\":1}\n", os.O_APPEND)
	write(t, file, "{\"n\":2}\n{\"n\":3}\n", os.O_APPEND)
	if err := <-found; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := log.Wait(ctx, func(l line) bool { return l.N > 3 }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v, want to have waited", err)
	}
}
