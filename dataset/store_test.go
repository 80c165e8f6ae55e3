package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/llm"
)

// open opens the store in dir for the time of the test.
func open(tb testing.TB, dir string) *dataset.Store {
	tb.Helper()
	s, err := dataset.Open(dir, dataset.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { shut(tb, s) })
	return s
}

func shut(tb testing.TB, s *dataset.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Error(err)
	}
}

// fill puts the examples 0 to n-1 into s.
func fill(tb testing.TB, s *dataset.Store, n int) {
	tb.Helper()
	examples := make([]dataset.Example, n)
	for i := range examples {
		examples[i] = newExample(i)
	}
	if stored, err := s.Put(context.Background(), examples...); err != nil || stored != n {
		tb.Fatalf("Put = %d, %v; want %d", stored, err, n)
	}
}

func put(tb testing.TB, s *dataset.Store, ex dataset.Example) dataset.Example {
	tb.Helper()
	if n, err := s.Put(context.Background(), ex); n != 1 || err != nil {
		tb.Fatalf("Put = %d, %v; want 1", n, err)
	}
	got, err := s.Get(context.Background(), dataset.Identify(ex).ID)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func list(tb testing.TB, s *dataset.Store, f dataset.Filter) []dataset.Example {
	tb.Helper()
	var all []dataset.Example
	for ex, err := range s.All(context.Background(), f) {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, ex)
	}
	return all
}

func TestStore_keepsEverythingAcrossReopen(t *testing.T) {
	dir := t.TempDir()
	want := dataset.Example{
		Messages:     []llm.Message{llm.System("<b> & \u2028"), llm.User("naïve? 😀\x00\n"), llm.Assistant(""), llm.User("again")},
		Response:     "yes\t\"quoted\"",
		QualityScore: 0.8,
		TaskType:     "code",
		ModelsAgreed: true,
		CreatedAt:    time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Source: dataset.Source{Kind: "ensemble", Models: []string{"a", "b"}, Strategy: "consensus",
			Seed: new(int64(math.MaxInt64)), Terms: "open", CostUSD: 0.25},
		Candidates: []dataset.Candidate{{Model: "a", Response: "yes", Score: 1}, {Model: "b", Error: "timed out"}},
	}
	s := open(t, dir)
	put(t, s, want)
	shut(t, s)

	got := list(t, open(t, dir), dataset.Filter{})
	want = dataset.Identify(want)
	want.BaseQuality, want.QualityScore = new(0.8), 0.85
	if diff := cmp.Diff([]dataset.Example{want}, got); diff != "" {
		t.Errorf("after reopening (-want +got):\n%s", diff)
	}
}

func TestStore_storesTheSameExampleOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	first := put(t, s, newExample(1))
	again := newExample(1)
	again.QualityScore = 0.1
	for range 2 {
		n, err := s.Put(t.Context(), again, newExample(1))
		if n != 0 || err != nil {
			t.Errorf("Put of a repeat = %d, %v; want 0", n, err)
		}
		shut(t, s)
		s = open(t, dir)
	}
	if n, err := s.Put(t.Context(), newExample(2), newExample(2), newExample(1)); n != 1 || err != nil {
		t.Errorf("Put of one new example, twice = %d, %v; want 1", n, err)
	}
	got := list(t, s, dataset.Filter{})
	if len(got) != 2 {
		t.Fatalf("%d examples, want 2", len(got))
	}
	if diff := cmp.Diff(first, got[0]); diff != "" {
		t.Errorf("the repeat changed the example (-first +now):\n%s", diff)
	}
}

func TestStore_Put_splitsWhatIsTooLargeForOneCommit(t *testing.T) {
	s := open(t, t.TempDir())
	var many []dataset.Example
	for i := range 5 {
		ex := newExample(i)
		ex.Response = strings.Repeat(fmt.Sprint(i), 700<<10)
		many = append(many, ex)
	}
	if n, err := s.Put(t.Context(), many...); n != 5 || err != nil {
		t.Fatalf("Put = %d, %v; want 5", n, err)
	}
	for i, ex := range list(t, s, dataset.Filter{}) {
		if ex.Response != many[i].Response {
			t.Errorf("example %d came back different", i)
		}
	}
}

func TestStore_Put_refusesInvalid(t *testing.T) {
	tests := map[string]func(*dataset.Example){
		"no messages":       func(ex *dataset.Example) { ex.Messages = nil },
		"unknown role":      func(ex *dataset.Example) { ex.Messages[0].Role = "robot" },
		"message not UTF-8": func(ex *dataset.Example) { ex.Messages[0].Content = "\xff" },
		"no response":       func(ex *dataset.Example) { ex.Response = "" },
		"response not UTF8": func(ex *dataset.Example) { ex.Response = "a\xc3" },
		"quality above 1":   func(ex *dataset.Example) { ex.QualityScore = 1.01 },
		"quality NaN":       func(ex *dataset.Example) { ex.QualityScore = math.NaN() },
		"base below 0":      func(ex *dataset.Example) { ex.BaseQuality = new(-0.1) },
		"six stars":         func(ex *dataset.Example) { ex.UserFeedback = 6 },
		"infinite cost":     func(ex *dataset.Example) { ex.Source.CostUSD = math.Inf(1) },
		"too large":         func(ex *dataset.Example) { ex.Response = strings.Repeat("x", dataset.MaxExampleSize) },
	}
	s := open(t, t.TempDir())
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			bad := newExample(2)
			spoil(&bad)
			n, err := s.Put(t.Context(), newExample(1), bad)
			if n != 0 || !errors.Is(err, dataset.ErrInvalid) || !strings.Contains(err.Error(), "example 2 of 2") {
				t.Errorf("Put = %d, %v; want ErrInvalid naming example 2 of 2", n, err)
			}
		})
	}
	if left := list(t, s, dataset.Filter{}); len(left) != 0 {
		t.Errorf("%d examples were stored", len(left))
	}
}

func TestStore_Get(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, 300) // more than 256: some share their first two digits
	ids := map[string]int{}
	for _, ex := range list(t, s, dataset.Filter{}) {
		ids[strings.TrimPrefix(ex.ID, "sha256:")]++
	}
	sharing := func(prefix string) (n int) {
		for id := range ids {
			if strings.HasPrefix(id, prefix) {
				n++
			}
		}
		return n
	}
	for id := range ids {
		for _, length := range []int{1, 2, 3, 7, 63, 64} {
			ex, err := s.Get(t.Context(), strings.ToUpper(id[:length]))
			switch sharing(id[:length]) {
			case 1:
				if err != nil || ex.ID != "sha256:"+id {
					t.Errorf("Get(%q) = %q, %v; want %q", id[:length], ex.ID, err, id)
				}
			default:
				if !errors.Is(err, dataset.ErrAmbiguous) {
					t.Errorf("Get(%q) = %v, want ErrAmbiguous", id[:length], err)
				}
			}
		}
		if ex, err := s.Get(t.Context(), "sha256:"+id); err != nil || dataset.Identify(ex).ID != "sha256:"+id {
			t.Errorf("Get(%q) = %q, %v", id, ex.ID, err)
		}
	}
	for _, id := range []string{"", "sha256:", "xyz", strings.Repeat("0", 64), strings.Repeat("a", 65), strings.Repeat("a", 66)} {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, dataset.ErrNotFound) || !strings.Contains(err.Error(), fmt.Sprintf("%q", id)) {
			t.Errorf("Get(%q) = %v, want ErrNotFound quoting it", id, err)
		}
	}
}

func TestStore_All_filters(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 40 {
		ex := newExample(i)
		ex.QualityScore = float64(i%10) / 10
		ex.TaskType = []string{"code", "reasoning"}[i%2]
		ex.Source.Kind = []string{"ensemble", "import", "manual"}[i%3]
		put(t, s, ex)
	}
	tests := map[string]struct {
		filter dataset.Filter
		want   func(i int, ex dataset.Example) bool
	}{
		"all":      {dataset.Filter{}, func(int, dataset.Example) bool { return true }},
		"type":     {dataset.Filter{TaskType: "code"}, func(i int, _ dataset.Example) bool { return i%2 == 0 }},
		"quality":  {dataset.Filter{MinQuality: 0.7}, func(i int, _ dataset.Example) bool { return i%10 >= 7 }},
		"kind":     {dataset.Filter{Kind: "import"}, func(i int, _ dataset.Example) bool { return i%3 == 1 }},
		"train":    {dataset.Filter{Split: dataset.SplitTrain}, func(_ int, ex dataset.Example) bool { return ex.Split == dataset.SplitTrain }},
		"held out": {dataset.Filter{Split: dataset.SplitHeldOut}, func(_ int, ex dataset.Example) bool { return ex.Split != dataset.SplitTrain }},
		"limit":    {dataset.Filter{Limit: 7}, func(i int, _ dataset.Example) bool { return i < 7 }},
		"both":     {dataset.Filter{TaskType: "code", Limit: 3}, func(i int, _ dataset.Example) bool { return i%2 == 0 && i < 6 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for i := range 40 {
				if ex := dataset.Identify(newExample(i)); test.want(i, ex) {
					want = append(want, ex.ID)
				}
			}
			for _, ex := range list(t, s, test.filter) {
				got = append(got, ex.ID)
			}
			if len(want) == 0 {
				t.Fatal("the test chooses nothing")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("oldest first (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStore_All_seesOneMoment(t *testing.T) {
	s := open(t, t.TempDir())
	fill(t, s, 3)
	n := 0
	for _, err := range s.All(t.Context(), dataset.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		put(t, s, newExample(100+n))
	}
	if n != 3 {
		t.Errorf("%d examples, want the 3 of the beginning", n)
	}
}

func TestStore_Rate(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ex := newExample(1)
	ex.QualityScore, ex.ModelsAgreed = 0.75, true
	id := put(t, s, ex).ID
	for _, step := range []struct {
		stars int
		want  float64
	}{{5, 0.85}, {5, 0.85}, {4, 0.85}, {3, 0.8}, {1, 0.65}, {2, 0.65}, {5, 0.85}} {
		rated, err := s.Rate(t.Context(), id[:20], step.stars)
		if err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		s = open(t, dir)
		got, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got.UserFeedback != step.stars || got.QualityScore != step.want || *got.BaseQuality != 0.75 {
			t.Errorf("%d stars: feedback %d, score %v, base %v; want score %v, base 0.75",
				step.stars, got.UserFeedback, got.QualityScore, *got.BaseQuality, step.want)
		}
		if diff := cmp.Diff(rated, got); diff != "" {
			t.Errorf("Rate returned something else than it stored (-returned +stored):\n%s", diff)
		}
	}
	if all := list(t, s, dataset.Filter{}); len(all) != 1 {
		t.Errorf("%d examples, want 1", len(all))
	}
}

func TestStore_Rate_refuses(t *testing.T) {
	s := open(t, t.TempDir())
	id := put(t, s, newExample(1)).ID
	for _, stars := range []int{-1, 0, 6} {
		if _, err := s.Rate(t.Context(), id, stars); !errors.Is(err, dataset.ErrInvalid) {
			t.Errorf("Rate with %d stars: %v, want ErrInvalid", stars, err)
		}
	}
	if _, err := s.Rate(t.Context(), "00", 5); !errors.Is(err, dataset.ErrNotFound) {
		t.Errorf("Rate of what is not there: %v, want ErrNotFound", err)
	}
}

func TestStore_Stats(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	got, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	none := map[string]int{}
	empty := dataset.Stats{TaskTypes: none, Tasks: map[string]dataset.TaskStats{}, Terms: none, Kinds: none, Models: none, Days: none}
	if diff := cmp.Diff(empty, got); diff != "" {
		t.Errorf("of an empty store (-want +got):\n%s", diff)
	}
	heldOut := 0
	tasks := map[string]dataset.TaskStats{}
	for i := range 100 {
		if i == 99 {
			if st, err := s.Stats(t.Context()); err != nil || st.Ready {
				t.Errorf("with 99 examples: ready %v, %v", st.Ready, err)
			}
		}
		ex := newExample(i)
		ex.QualityScore = []float64{0.8, 0.9}[i%2]
		ex.TaskType = []string{"code", "creative", "general", "code"}[i%4]
		task := tasks[ex.TaskType]
		task.Total++
		task.HighQuality += i % 2
		if i < 10 {
			ex.UserFeedback = 3
			task.WithFeedback++
		}
		if put(t, s, ex).Split == dataset.SplitHeldOut {
			heldOut++
			task.HeldOut++
		} else {
			task.Training++
		}
		task.Readiness = dataset.NotReady
		tasks[ex.TaskType] = task
	}
	want := dataset.Stats{
		Total: 100, HighQuality: 50, AverageQuality: 0.85, WithFeedback: 10, HeldOut: heldOut,
		TaskTypes: map[string]int{"code": 50, "creative": 25, "general": 25}, Ready: true, Tasks: tasks,
		Feedback: dataset.Feedback{Stars: [5]int{2: 10}, Share: 0.1}, Terms: map[string]int{"unknown": 100},
		Kinds: map[string]int{"manual": 100}, Models: none, Days: map[string]int{},
	}
	for _, ex := range list(t, s, dataset.Filter{}) { // midnight may have come meanwhile
		want.Days[ex.CreatedAt.Format(time.DateOnly)]++
	}
	got, err = s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got.AverageQuality = math.Round(got.AverageQuality*1e9) / 1e9
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStore_isBusyWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := dataset.Open(dir, dataset.Options{})
	if !errors.Is(err, dataset.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("%q", dir)) {
		t.Errorf("second Open: %v, want ErrBusy quoting the folder", err)
	}
	put(t, s, newExample(1)) // the first one is unharmed
}

func TestStore_afterClose(t *testing.T) {
	s := open(t, t.TempDir())
	id := put(t, s, newExample(1)).ID
	shut(t, s)
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	_, putErr := s.Put(t.Context(), newExample(2))
	_, getErr := s.Get(t.Context(), id)
	_, rateErr := s.Rate(t.Context(), id, 5)
	_, statsErr := s.Stats(t.Context())
	_, verifyErr := s.Verify(t.Context())
	for call, err := range map[string]error{"Put": putErr, "Get": getErr, "Rate": rateErr, "Stats": statsErr, "Verify": verifyErr} {
		if !errors.Is(err, dataset.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", call, err)
		}
	}
}

func TestStore_honoursContext(t *testing.T) {
	s := open(t, t.TempDir())
	id := put(t, s, newExample(1)).ID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, putErr := s.Put(ctx, newExample(2))
	_, getErr := s.Get(ctx, id)
	_, rateErr := s.Rate(ctx, id, 5)
	_, statsErr := s.Stats(ctx)
	_, verifyErr := s.Verify(ctx)
	for call, err := range map[string]error{"Put": putErr, "Get": getErr, "Rate": rateErr, "Stats": statsErr, "Verify": verifyErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", call, err)
		}
	}
	if n := len(list(t, s, dataset.Filter{})); n != 1 {
		t.Errorf("%d examples, want 1", n)
	}
}

// The invariant under load: what was acknowledged is there, once, and as its
// last rating left it.
func TestStore_concurrentUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const writers, each = 6, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				ex := newExample(i + w/2*1000) // in pairs, writers store the same
				if _, err := s.Put(t.Context(), ex); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Rate(t.Context(), dataset.Identify(ex).ID, 1+i%5); err != nil {
					t.Error(err)
				}
				if _, err := s.Stats(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if report, err := s.Verify(t.Context()); err != nil || report.Err() != nil {
		t.Errorf("Verify: %v, %v", err, report.Err())
	}
	shut(t, s)
	all := list(t, open(t, dir), dataset.Filter{})
	if want := writers / 2 * each; len(all) != want {
		t.Errorf("%d examples, want %d", len(all), want)
	}
	for _, ex := range all {
		if ex.UserFeedback == 0 {
			t.Errorf("the rating of %s is lost", ex.ID)
		}
	}
}
