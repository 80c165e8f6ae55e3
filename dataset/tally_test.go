package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
)

// anyExample is one of few enough kinds that most counts meet again.
func anyExample(rnd *rand.Rand) Example {
	ex := Example{
		Messages: []llm.Message{llm.User("q")}, Response: "a",
		QualityScore: float64(rnd.IntN(1_000_001)) / micro, ModelsAgreed: rnd.IntN(2) == 0,
		TaskType: []string{"", "code", "reasoning", "bad \xff\xfe"}[rnd.IntN(4)], UserFeedback: rnd.IntN(6),
		Split:     []Split{SplitTrain, SplitHeldOut}[rnd.IntN(2)],
		CreatedAt: time.Unix(int64(rnd.IntN(10*86400)), 0).In(time.FixedZone("", rnd.IntN(86400)-43200)),
		Source: Source{Kind: []string{"ensemble", "import", "manual"}[rnd.IntN(3)], Terms: []string{"", "open", "restricted", "odd"}[rnd.IntN(4)],
			Models: []string{"a", "b", "a"}[:rnd.IntN(4)]},
	}
	for n := range rnd.IntN(3) {
		ex.Rejected = append(ex.Rejected, fmt.Sprint(n))
	}
	return ex
}

// Whatever was added and removed, in whatever order, the tally is that of the
// examples that are left.
func TestTally_isThatOfWhatIsLeft(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		running, left := newTally(), []Example{}
		for range rnd.IntN(60) {
			if len(left) == 0 || rnd.IntN(3) > 0 {
				left = append(left, anyExample(rnd))
				running.add(left[len(left)-1])
				continue
			}
			n := rnd.IntN(len(left))
			running.remove(readBack(t, left[n])) // as the store gives it back
			left = append(left[:n], left[n+1:]...)
		}
		fresh := newTally()
		for _, n := range rnd.Perm(len(left)) {
			fresh.add(left[n])
		}
		if diff := cmp.Diff(fresh, running); diff != "" {
			t.Fatalf("(-fresh +running):\n%s", diff)
		}
		if diff := cmp.Diff(fresh.stats(), running.stats()); diff != "" {
			t.Fatalf("stats (-fresh +running):\n%s", diff)
		}
	}
}

// readBack is ex after its way through JSON.
func readBack(t *testing.T, ex Example) (out Example) {
	t.Helper()
	text, err := json.Marshal(ex)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTally_comesBackFromItsEncoding(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	want := newTally()
	for n := range 100 {
		text, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeTally(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("after %d (-want +got):\n%s", n, diff)
		}
		if again, err := got.encode(); err != nil || string(again) != string(text) {
			t.Fatalf("encoded anew, %v:\n%s\n%s", err, text, again)
		}
		want = got // can be worked on
		want.add(anyExample(rnd))
	}
}

func TestDecodeTally_refuses(t *testing.T) {
	full := newTally()
	full.add(Example{TaskType: "code", Source: Source{Kind: "manual"}})
	good, err := full.encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "null", "{}", "[]", string(good[:len(good)-1]),
		strings.Replace(string(good), `"version":1`, `"version":2`, 1),
		strings.Replace(string(good), `"total":1`, `"total":2`, 1),
		strings.Replace(string(good), `"manual":1`, `"manual":2,"import":-1`, 1),
		strings.Replace(string(good), `{"manual":1}`, `null`, 1),
		strings.Replace(string(good), `"models":{}`, `"models":null`, 1),
	} {
		if _, err := decodeTally([]byte(text)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", text, err)
		}
	}
}

func TestReadinessOf(t *testing.T) {
	for n, want := range map[int]Readiness{0: NotReady, 99: NotReady, 100: Ready, 499: Ready, 500: Recommended, 999: Recommended, 1000: Ideal, 1e6: Ideal} {
		if got := ReadinessOf(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// Stats travel between processes as JSON.
func TestStats_comeBackFromJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	sum := newTally()
	for range 50 {
		want := sum.stats()
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Stats
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		sum.add(anyExample(rnd))
	}
}

// millionDays is a tally as large as years of work make it.
func millionDays() *tally {
	t := newTally()
	for n := range 1_000_000 {
		t.add(Example{TaskType: fmt.Sprint("task ", n%20), QualityScore: 0.9, Split: SplitTrain, CreatedAt: time.Unix(int64(n)*60, 0),
			Source: Source{Kind: "ensemble", Terms: "open", Models: []string{fmt.Sprint("model ", n%10)}}})
	}
	return t
}

func BenchmarkTally_stats(b *testing.B) {
	sum := millionDays()
	for b.Loop() {
		sum.stats()
	}
}

func BenchmarkTally_add(b *testing.B) {
	sum, ex := newTally(), anyExample(rand.New(rand.NewPCG(7, 8)))
	for b.Loop() {
		sum.add(ex)
	}
}

func FuzzDecodeTally(f *testing.F) {
	sum := newTally()
	rnd := rand.New(rand.NewPCG(9, 10))
	for range 3 {
		text, _ := sum.encode() // shown to work above
		f.Add(text)
		sum.add(anyExample(rnd))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		sum, err := decodeTally(text)
		if err != nil {
			return
		}
		ex := anyExample(rnd)
		sum.add(ex)
		sum.remove(ex)
		if again, err := sum.encode(); err != nil {
			t.Errorf("%s: %v", again, err)
		}
		sum.stats()
	})
}
