package socket

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"retort/dataset"
	"retort/llm"
)

// The test binary is also the other processes of the tests that need some: with
// childVar set to "verb dir n" it runs that verb instead of the tests.
const childVar = "RETORT_SOCKET_TEST_CHILD"

var children = map[string]func(dir string, n int) error{"put": putUntilEOF}

func TestMain(m *testing.M) {
	verb, rest, _ := strings.Cut(os.Getenv(childVar), " ")
	if verb == "" {
		os.Exit(m.Run())
	}
	dir, last, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(last)
	if err == nil {
		err = children[verb](dir, n)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// putUntilEOF puts the examples first, first+1 ... until standard input ends, and
// prints the number of each that was acknowledged.
func putUntilEOF(dir string, first int) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, os.Stdin)
	}()
	s, err := Open(context.Background(), dir, dataset.Options{})
	if err != nil {
		return err
	}
	for n := first; ; n++ {
		if _, err := s.Put(context.Background(), newExample(n)); err != nil {
			return err
		}
		fmt.Println(n)
		select {
		case <-ended:
			return s.Close()
		default:
		}
	}
}

func newExample(n int) dataset.Example {
	return dataset.Identify(dataset.Example{
		Messages: []llm.Message{llm.System("Add."), llm.User(fmt.Sprintf("What is %d plus <one>?", n))},
		Response: strconv.Itoa(n + 1), QualityScore: 0.9, TaskType: []string{"sums", "other"}[n%2],
		CreatedAt: time.Date(2026, 1, 2, 3, 4, n%60, n, time.UTC),
		Source:    dataset.Source{Kind: "import", Name: "sums.jsonl"},
	})
}

func newExamples(from, to int) (out []dataset.Example) {
	for n := from; n < to; n++ {
		out = append(out, newExample(n))
	}
	return out
}

// storeDir is a folder that a store can be in: it is as private as Retort makes it.
func storeDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(shortTemp(t), "store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shortTemp is like t.TempDir, but short enough for a socket however long the
// test's name is.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// held opens the store in dir for the time of the test.
func held(t *testing.T, dir string) *dataset.Store {
	t.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// served serves the store for the time of the test, and reaches it.
func served(t *testing.T, dir string, s *dataset.Store) (*Server, *Client) {
	t.Helper()
	srv, err := Serve(s, Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, srv) })
	c, err := Dial(t.Context(), Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, c) })
	return srv, c
}

func shut(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// shared opens the store in dir as a process of its own would.
func shared(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func mustPut(t *testing.T, h interface {
	Put(context.Context, ...dataset.Example) (int, error)
}, examples ...dataset.Example) {
	t.Helper()
	if n, err := h.Put(t.Context(), examples...); err != nil || n != len(examples) {
		t.Fatalf("Put = %d, %v; want %d", n, err, len(examples))
	}
}
