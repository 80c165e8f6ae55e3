//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"retort/dataset"
	"retort/llm"
)

// killed is a run that is killed again and again.
type killed struct {
	*testing.T
	till *till
	home string
	file string
	more []string // arguments
	rnd  *rand.Rand
}

func newKilled(t *testing.T, tasks int) *killed {
	k := &killed{T: t, till: &till{rnd: rand.New(rand.NewPCG(1, 2)), asked: map[string]int{}, reached: make(chan int)}, home: t.TempDir(), rnd: rand.New(rand.NewPCG(3, 4))}
	srv := httptest.NewServer(k.till)
	t.Cleanup(srv.Close)
	var lines strings.Builder
	for i := range tasks {
		fmt.Fprintf(&lines, "question number %d\n", i)
	}
	k.file = filepath.Join(k.home, "questions.txt")
	for path, text := range map[string]string{k.file: lines.String(),
		filepath.Join(k.home, "config.yaml"): fmt.Sprintf("providers:\n  openai: {enabled: true, base_url: %q}\n", srv.URL)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *killed) command(budget float64) *exec.Cmd {
	cmd := exec.Command("retort", "distill", "--tasks", k.file, "--members", "openai/gpt-4o", "--max-tokens", fmt.Sprint(tillTokens),
		"--parallel", "4", "--resume", "--json", "--budget", fmt.Sprint(budget))
	cmd.Args = append(cmd.Args, k.more...)
	cmd.Env = append(os.Environ(), "RETORT_HOME="+k.home, "OPENAI_API_KEY=canary")
	cmd.Dir = k.home
	return cmd
}

// kill starts the run and kills it a moment after one of its next requests. It
// reports whether the run was still alive.
func (k *killed) kill(budget float64) bool {
	cmd := k.command(budget)
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for left := 1 + k.rnd.IntN(5); left > 0; left-- {
		select {
		case <-k.till.reached:
		case <-ended:
			return false
		}
	}
	moment := time.After(time.Duration(k.rnd.IntN(6000)) * time.Microsecond) // the random moment
	for {
		select {
		case <-k.till.reached:
			continue
		case <-moment:
		}
		break
	}
	if err := cmd.Process.Kill(); err != nil {
		k.Fatal(err)
	}
	return <-ended != nil
}

// finish lets the run come to its end.
func (k *killed) finish(budget float64) (v distillView, code int) {
	cmd := k.command(budget)
	out, err := cmd.Output()
	if jerr := json.Unmarshal(out, &v); jerr != nil {
		k.Fatalf("%v: %v in %q", err, jerr, out)
	}
	return v, cmd.ProcessState.ExitCode()
}

// ledger reads what the killed process had acknowledged.
func (k *killed) ledger() *ledger {
	paths, err := filepath.Glob(filepath.Join(k.home, "distill", "*", spentFile))
	if err != nil || len(paths) != 1 {
		k.Fatalf("ledgers: %v, %v", paths, err)
	}
	l, err := openLedger(paths[0])
	if err != nil {
		k.Fatal(err)
	}
	l.Close()
	return l
}

// check holds that nothing acknowledged was asked again since before, and that all
// of it is there.
func (k *killed) check(before map[string]int, l *ledger) (answered map[string]int) {
	now := k.till.counts()
	for q, n := range before {
		if now[q] != n {
			k.Errorf("%q was answered, and asked again", q)
		}
	}
	store, err := dataset.Open(filepath.Join(k.home, "store"), dataset.Options{})
	if err != nil {
		k.Fatal(err)
	}
	defer store.Close()
	answered = map[string]int{}
	for q := range now {
		e, ok := l.answered(stepAsk, taskDigest([]llm.Message{llm.User(q)}))
		if !ok {
			continue
		}
		answered[q] = now[q]
		if e.Result == resultKept {
			if ex, err := store.Get(k.Context(), e.Example); err != nil || ex.Response != "answer to "+q {
				k.Errorf("%q: %v", q, err)
			}
		}
	}
	return answered
}

// TestDistill_killed kills a run at random moments. Whatever the provider charges
// stays within the budget, nothing that was answered is asked again, and no example
// is lost.
func TestDistill_killed(t *testing.T) {
	kills, tasks := 35, 500
	if testing.Short() {
		kills, tasks = 6, 100
	}
	const budget = 0.3
	k := newKilled(t, tasks)
	answered := map[string]int{}
	hit := 0
	for range kills {
		if k.kill(budget) {
			hit++
		}
		l := k.ledger()
		if charged := k.till.total(); charged > l.spent+l.lost+1e-9 || charged > budget {
			t.Fatalf("charged $%.5f; the ledger has $%.5f and perhaps $%.5f, of $%.5f", charged, l.spent, l.lost, budget)
		}
		answered = k.check(answered, l)
	}
	if hit < kills*9/10 {
		t.Errorf("only %d of %d were killed at work", hit, kills)
	}
	l := k.ledger()
	tight := l.spent + l.lost + 0.005
	v, code := k.finish(tight)
	if code != exitPartial || k.till.total() > tight || v.Left == 0 || v.CostUSD+v.Reserved > tight {
		t.Errorf("exit status %d, charged $%.5f of $%.5f, %+v", code, k.till.total(), tight, v)
	}
	answered = k.check(answered, k.ledger())
	v, code = k.finish(1)
	k.check(answered, k.ledger())
	notKept := tasks / 10
	if code != exitOK || v.Kept != tasks-notKept || v.NotKept[reasonCutShort] != notKept || k.till.total() > v.CostUSD+v.Reserved+1e-9 {
		t.Errorf("exit status %d, charged $%.5f: %+v", code, k.till.total(), v)
	}
	t.Logf("killed %d times at work; %d requests for %d questions; charged $%.5f, known $%.5f and reserved $%.5f", hit, k.till.requests, tasks, k.till.total(), v.CostUSD, v.Reserved)
}

// varied are the digests of the seeds that have their variations on disk.
func (k *killed) varied() map[string]bool {
	out := map[string]bool{}
	paths, _ := filepath.Glob(filepath.Join(k.home, "distill", "*", variationsFile))
	for _, path := range paths {
		f, err := openLines(path, func(line []byte) error {
			var l variationsLine
			err := json.Unmarshal(line, &l)
			out[l.Seed] = true
			return err
		})
		if err != nil {
			k.Fatal(err)
		}
		f.Close()
	}
	return out
}

// TestDistill_killed_varying kills a run while it thinks up questions and asks them.
func TestDistill_killed_varying(t *testing.T) {
	kills, tasks := 12, 30
	if testing.Short() {
		kills, tasks = 3, 10
	}
	k := newKilled(t, tasks)
	k.more = []string{"--expand", "2"}
	answered, done := map[string]int{}, map[string]int{}
	if v, code := k.finish(0.003); code != exitPartial || v.Kept == 0 { // the first questions, so that all kinds are killed
		t.Fatalf("exit status %d, %+v", code, v)
	}
	for range kills {
		k.kill(1)
		answered = k.check(answered, k.ledger())
		now := k.till.counts()
		for prompt, n := range done {
			if now[prompt] != n {
				t.Errorf("varied again: %q", prompt)
			}
		}
		varied := k.varied()
		for prompt, n := range now {
			m := tillSeed.FindString(prompt)
			if m != prompt && varied[taskDigest([]llm.Message{llm.User(m)})] {
				done[prompt] = n
			}
		}
	}
	v, code := k.finish(1)
	k.check(answered, k.ledger())
	notKept := tasks / 10
	if code != exitOK || v.Variations != 2*tasks || v.Kept != 3*tasks-notKept || v.Unvaried != 0 || k.till.total() > v.CostUSD+v.Reserved+1e-9 {
		t.Errorf("exit status %d, charged $%.5f: %+v", code, k.till.total(), v)
	}
}

// TestDistill_hungUp closes the terminal of a run: what is paid for is waited for.
func TestDistill_hungUp(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("this process and those that it starts do not hear of it")
	}
	k := newKilled(t, 500)
	cmd := k.command(1)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-k.till.reached
	for range 2 { // the shell and the system both say so
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("it ended with %v", err)
	}
	if l := k.ledger(); l.lost != 0 || l.spent == 0 {
		t.Errorf("$%g is spent, and what came of $%g is not known", l.spent, l.lost)
	}
}
