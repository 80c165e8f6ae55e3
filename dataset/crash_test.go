package dataset_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"retort/dataset"
)

// The test binary is also the other process of the tests that need one: with
// childVar set to "verb dir n" it runs that verb instead of the tests.
const childVar = "RETORT_DATASET_TEST_CHILD"

var children = map[string]func(dir string, n int) error{
	"write": writeUntilKilled,
	"hold":  holdUntilEOF,
	"put":   putSome,
}

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

// child prepares this binary as another process.
func child(t *testing.T, verb, dir string, n int) *exec.Cmd {
	t.Helper()
	if strings.Contains(dir, " ") {
		t.Fatalf("folder %q has a space", dir)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", childVar, verb, dir, n))
	cmd.Stderr = os.Stderr
	return cmd
}

// writeUntilKilled lets four writers put pairs, 2n and 2n+1, for ever, and
// prints n when a pair is acknowledged.
func writeUntilKilled(dir string, first int) error {
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for n := first + w; ; n += 4 {
				if _, err := s.Put(context.Background(), newExample(2*n), newExample(2*n+1)); err != nil {
					failed <- err
				}
				fmt.Println(n) // one write: a line is in the pipe whole or not at all
			}
		}()
	}
	return <-failed
}

func holdUntilEOF(dir string, _ int) error {
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

// putSome puts n examples, one by one, and prints the number of each.
func putSome(dir string, n int) error {
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		return err
	}
	for i := range n {
		if _, err := s.Put(context.Background(), newExample(i)); err != nil {
			return err
		}
		fmt.Println("put", i)
	}
	return s.Close()
}

// killedWriter runs a writer, kills it after the given time (counted from its
// start when early, else from its first acknowledgement), and returns the pairs
// it acknowledged.
func killedWriter(t *testing.T, dir string, first int, early bool, after time.Duration) (acked []int) {
	t.Helper()
	cmd := child(t, "write", dir, first)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if early {
		time.AfterFunc(after, func() { cmd.Process.Kill() })
	}
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what is left has no end: it was not acknowledged
		}
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			if len(acked) == 0 && !early {
				time.AfterFunc(after, func() { cmd.Process.Kill() })
			}
			acked = append(acked, n)
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the writer was to be killed, but: %v", err)
	}
	return acked
}

// checkPairs opens the store and checks that all acknowledged pairs are there
// as they were written, and none by half.
func checkPairs(t *testing.T, dir string, acked []int) {
	t.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	there := map[string]dataset.Example{}
	for _, ex := range list(t, s, dataset.Filter{}) {
		if dataset.Identify(ex).ID != ex.ID {
			t.Errorf("%s has another content", ex.ID)
		}
		there[ex.ID] = ex
	}
	for _, n := range acked {
		for _, want := range []dataset.Example{newExample(2 * n), newExample(2*n + 1)} {
			got, ok := there[dataset.Identify(want).ID]
			if !ok {
				t.Errorf("pair %d was acknowledged, half of it or all is lost", n)
			} else if got.TaskType != want.TaskType || got.QualityScore != want.QualityScore {
				t.Errorf("pair %d is not what was written", n)
			}
			delete(there, got.ID)
		}
	}
	for _, ex := range there { // stored, but killed before the acknowledgement
		var n int
		fmt.Sscanf(ex.Messages[1].Content, "What is %d plus one?", &n)
		if _, ok := there[dataset.Identify(newExample(n^1)).ID]; !ok {
			t.Errorf("example %d is there without its other half", n)
		}
	}
	if report, err := s.Verify(t.Context()); err != nil || report.Err() != nil {
		t.Errorf("Verify: %v, %v", err, report.Err())
	}
}

func TestStore_survivesKill(t *testing.T) {
	cycles := 50
	if testing.Short() {
		cycles = 8
	}
	dir := t.TempDir()
	var acked []int
	for cycle := range cycles {
		early := cycle%5 == 0 // while it opens the store
		after := time.Duration(rand.IntN(60_000)) * time.Microsecond
		acked = append(acked, killedWriter(t, dir, cycle*1_000_000, early, after)...)
		checkPairs(t, dir, acked)
		if t.Failed() {
			t.Fatalf("after kill %d", cycle+1)
		}
	}
	if len(acked) < cycles/2 { // those that are killed early may get nowhere
		t.Errorf("%d pairs acknowledged in %d cycles: the test proves little", len(acked), cycles)
	}
	t.Logf("%d kills, %d pairs acknowledged", cycles, len(acked))
}

// traced runs a child that puts n examples, and returns the system calls by
// which it wrote and synced. A killed process leaves its writes to the kernel,
// so that only a power cut would show a missing sync; the calls show it too.
func traced(t *testing.T, dir string, n int) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not be used here: %v\n%s", err, out)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := child(t, "put", dir, n)
	cmd.Args = []string{strace, "-f", "-y", "-s", "16", "-e", "trace=msync,fsync,fdatasync,write,pwrite64", "-o", trace, cmd.Path}
	cmd.Path = strace
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return string(calls)
}

// Before each acknowledgement the journal must be synced.
func TestStore_Put_syncsBeforeItAnswers(t *testing.T) {
	const puts = 20
	order := regexp.MustCompile(`(?s)pwrite64\(\d+<[^>]*/journal/000001.jsonl>.*sync\(\d+<[^>]*/journal/000001.jsonl>`)
	_, after, _ := strings.Cut(traced(t, t.TempDir(), puts), `"put 0\n"`) // the first one also makes files
	for n := 1; n < puts; n++ {
		before, rest, ok := strings.Cut(after, fmt.Sprintf(`"put %d\n"`, n))
		if !ok || !order.MatchString(before) {
			t.Fatalf("put %d was acknowledged after these calls alone:\n%s", n, before)
		}
		after = rest
	}
}

// What a killed process wrote counts as stored when it is put again.
func TestOpen_syncsWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	killedWriter(t, dir, 0, false, 0)
	before, _, _ := strings.Cut(traced(t, dir, 1), `"put 0\n"`)
	if !regexp.MustCompile(`fsync\(\d+<[^>]*\.mem>`).MatchString(before) {
		t.Errorf("Badger's log was not synced:\n%s", before)
	}
}

func TestStore_isBusyForAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "hold", dir, 0)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewReader(out).ReadString('\n')
	_, err = dataset.Open(dir, dataset.Options{})
	if !errors.Is(err, dataset.ErrBusy) || !strings.Contains(err.Error(), strconv.Quote(dir)) {
		t.Errorf("Open: %v, want ErrBusy quoting the folder", err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}
