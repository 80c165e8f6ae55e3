package dataset_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"retort/dataset"
)

func init() { children["mix"] = mixUntilKilled }

const mixWriters = 8

// An action is what a writer does with an example of its own: put it, rate it,
// forget it, or back up the store in between.
type action struct {
	writer, n int
	verb      string // "put", "rate", "forget" or "backup"
}

func mixedExample(writer, n int) dataset.Example { return newExample(writer*100_000_000 + n) }

// mixUntilKilled lets each of the writers work through its numbers from first on,
// and prints each action when it is acknowledged.
func mixUntilKilled(dir string, first int) error {
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	failed := make(chan error)
	for w := range mixWriters {
		go func() {
			for n := first; ; n++ {
				for _, verb := range verbsFor(w, n) {
					if err := act(s, dir, action{w, n, verb}); err != nil {
						failed <- fmt.Errorf("%s %d %d: %w", verb, w, n, err)
					}
					fmt.Println(verb, w, n)
				}
			}
		}()
	}
	return <-failed
}

// verbsFor says what is done with an example, in order.
func verbsFor(writer, n int) []string {
	verbs := []string{"put"}
	if n%2 == 0 {
		verbs = append(verbs, "rate")
	}
	if n%5 == 0 {
		verbs = append(verbs, "forget")
	}
	if writer == 0 && n%20 == 0 {
		verbs = append(verbs, "backup")
	}
	return verbs
}

func act(s *dataset.Store, dir string, a action) (err error) {
	ctx, ex := context.Background(), dataset.Identify(mixedExample(a.writer, a.n))
	switch a.verb {
	case "put":
		_, err = s.Put(ctx, ex)
	case "rate":
		_, err = s.Rate(ctx, ex.ID, 5)
	case "forget":
		_, err = s.Forget(ctx, ex.ID)
	case "backup":
		_, err = s.Backup(ctx, filepath.Join(filepath.Dir(dir), "mixed.backup"))
	}
	return err
}

// killedMix runs the writers, kills them some time after so many actions were
// acknowledged, however long these take, and returns what was acknowledged.
func killedMix(t *testing.T, dir string, first, actions int, after time.Duration) (acked []action) {
	t.Helper()
	cmd := child(t, "mix", dir, first)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what is left has no end: it was not acknowledged
		}
		var a action
		if n, _ := fmt.Sscanf(line, "%s %d %d", &a.verb, &a.writer, &a.n); n == 3 {
			acked = append(acked, a)
		}
		if len(acked) >= actions {
			once.Do(func() { time.AfterFunc(after, func() { cmd.Process.Kill() }) })
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the writers were to be killed, but: %v", err)
	}
	return acked
}

// due is what the acknowledged actions say of each example.
type due struct{ stars, forgotten bool }

// checkMix compares the store with what was acknowledged, and returns it as it is
// now: what was cut short may be done or not, and stays so.
func checkMix(t *testing.T, dir string, want map[string]due) map[string]due {
	t.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, s)
	now := map[string]due{}
	for _, ex := range list(t, s, dataset.Filter{}) {
		if dataset.Identify(ex).ID != ex.ID {
			t.Errorf("%s has another content", ex.ID)
		}
		now[ex.ID] = due{stars: ex.UserFeedback == 5}
	}
	for id, d := range want {
		got, there := now[id]
		switch {
		case d.forgotten && there:
			t.Errorf("%s was forgotten, and is there", id)
		case d.forgotten:
			now[id] = d
		case d.stars && there && !got.stars:
			t.Errorf("%s lost its stars", id)
		}
	}
	if report, err := s.Verify(t.Context()); err != nil || report.Err() != nil {
		t.Errorf("Verify: %v, %v", err, report.Err())
	}
	return now
}

// The bar: 200 kills among 8 writers that put, rate, forget and back up; nothing
// that was acknowledged is lost, and no read is wrong.
func TestStore_survivesKillsAmongMixedWriters(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 10
	}
	dir := filepath.Join(t.TempDir(), "store")
	known := map[string]due{}
	actions := 0
	for kill := range kills {
		first := kill * 10_000
		acked := killedMix(t, dir, first, kill%2*20, time.Duration(rand.IntN(80_000))*time.Microsecond)
		actions += len(acked)
		want := maps.Clone(known)
		last := map[int]action{}
		for _, a := range acked {
			id := dataset.Identify(mixedExample(a.writer, a.n)).ID
			d := want[id]
			d.stars = d.stars || a.verb == "rate"
			d.forgotten = d.forgotten || a.verb == "forget"
			want[id] = d
			last[a.writer] = a
		}
		now := checkMix(t, dir, want)
		for id := range want { // all but one that a writer was just about to forget
			if _, ok := now[id]; !ok && !aboutToForget(id, last) {
				t.Errorf("%s was acknowledged, and is lost", id)
			}
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
		known = now
	}
	if actions < 10*kills {
		t.Errorf("%d actions acknowledged in %d kills: the test proves little", actions, kills)
	}
	path := filepath.Join(filepath.Dir(dir), "mixed.backup")
	s := open(t, dir)
	backup(t, s, path) // goes on with what the kills have left
	shut(t, s)
	for _, err := range dataset.ReadBackup(t.Context(), path) {
		if err != nil {
			t.Fatal(errors.Join(errors.New("the backup is damaged"), err))
		}
	}
	if report, err := dataset.Check(t.Context(), dir, dataset.CheckOptions{}); err != nil || report.Err() != nil {
		t.Errorf("Check: %+v, %v", report, err)
	}
	t.Logf("%d kills, %d actions acknowledged", kills, actions)
}

// aboutToForget reports whether the next action of some writer was to forget this
// example.
func aboutToForget(id string, last map[int]action) bool {
	for w, a := range last {
		verbs := verbsFor(w, a.n)
		for i, verb := range verbs {
			next := i+1 < len(verbs) && verbs[i+1] == "forget"
			if verb == a.verb && next && id == dataset.Identify(mixedExample(w, a.n)).ID {
				return true
			}
		}
	}
	return false
}
