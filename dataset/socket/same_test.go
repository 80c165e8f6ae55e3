package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/dataset"
	"retort/llm"
)

// step is one call of a store, and what came back of it.
type step struct {
	name string
	do   func(ctx context.Context, h holder) (any, error)
}

// steps are done one after the other; later ones see what earlier ones did.
var steps = []step{
	{"put", func(ctx context.Context, h holder) (any, error) { return h.Put(ctx, newExamples(0, 40)...) }},
	{"put again", func(ctx context.Context, h holder) (any, error) { return h.Put(ctx, newExamples(38, 42)...) }},
	{"put nothing", func(ctx context.Context, h holder) (any, error) { return h.Put(ctx) }},
	{"put with all there is", func(ctx context.Context, h holder) (any, error) { return h.Put(ctx, wholeExample()) }},
	{"put without messages", putWith(func(ex *dataset.Example) { ex.Messages = nil })},
	{"put not UTF-8", putWith(func(ex *dataset.Example) { ex.Response = "\xff" })},
	{"put not a number", putWith(func(ex *dataset.Example) { ex.QualityScore = math.NaN() })},
	{"put bad stars", putWith(func(ex *dataset.Example) { ex.UserFeedback = 6 })},
	{"put a bad date", putWith(func(ex *dataset.Example) { ex.CreatedAt = time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC) })},
	{"put too large", putWith(func(ex *dataset.Example) { ex.Response = strings.Repeat("x", dataset.MaxExampleSize) })},
	{"put large", putWith(func(ex *dataset.Example) { ex.Response = strings.Repeat("<", dataset.MaxExampleSize/8) })},
	{"get", getWith(newExample(3).ID)},
	{"get by prefix", getWith(newExample(3).ID[7:23])},
	{"get upper case", getWith(strings.ToUpper(newExample(3).ID[7:23]))},
	{"get with all there is", getWith(dataset.Identify(wholeExample()).ID)},
	{"get nothing", getWith("")},
	{"get ambiguous", func(ctx context.Context, h holder) (any, error) {
		for _, digit := range "0123456789abcdef" { // 40 examples: some digit begins two
			if ex, err := h.Get(ctx, string(digit)); errors.Is(err, dataset.ErrAmbiguous) {
				return ex, err
			}
		}
		return nil, nil
	}},
	{"get unknown", getWith("ffffffffffff")},
	{"get no ID", getWith("a&b=c;\xff\n")},
	{"rate", rateWith(newExample(5).ID, 5)},
	{"rate anew", rateWith(newExample(5).ID, 1)},
	{"rate unknown", rateWith("ffffffffffff", 3)},
	{"rate wrongly", rateWith(newExample(5).ID, 6)},
	{"prefer", preferWith(dataset.Preference{ID: newExample(6).ID, Stars: 2, Better: "seven & <more>; 100 %"})},
	{"prefer the same", preferWith(dataset.Preference{ID: newExample(6).ID, Stars: 2, Better: newExample(6).Response})},
	{"prefer not UTF-8", preferWith(dataset.Preference{ID: newExample(6).ID, Stars: 2, Better: "\xff"})},
	{"prefer unknown", preferWith(dataset.Preference{ID: "ffffffffffff", Stars: 2, Better: "x"})},
	{"prefer wrongly", preferWith(dataset.Preference{ID: newExample(6).ID, Better: "x"})},
	{"all", allWith(dataset.Filter{})},
	{"all of a task", allWith(dataset.Filter{TaskType: "sums"})},
	{"all of no task", allWith(dataset.Filter{TaskType: "\xff"})},
	{"all of a quality", allWith(dataset.Filter{MinQuality: 0.95})},
	{"all of no quality", allWith(dataset.Filter{MinQuality: math.NaN()})},
	{"all of any quality", allWith(dataset.Filter{MinQuality: math.Inf(-1)})},
	{"all of a side", allWith(dataset.Filter{Split: dataset.SplitHeldOut})},
	{"all of a kind", allWith(dataset.Filter{Kind: dataset.KindManual})},
	{"the first", allWith(dataset.Filter{Limit: 3})},
	{"stats", func(ctx context.Context, h holder) (any, error) { return h.Stats(ctx) }},
	{"log", func(ctx context.Context, h holder) (any, error) {
		return nil, h.PutQueries(ctx, newQuery(1), newQuery(2))
	}},
	{"log nothing", func(ctx context.Context, h holder) (any, error) { return nil, h.PutQueries(ctx) }},
	{"log not UTF-8", func(ctx context.Context, h holder) (any, error) {
		q := newQuery(3)
		q.Members[0].Error = "\xff"
		return nil, h.PutQueries(ctx, newQuery(4), q)
	}},
	{"log no number", func(ctx context.Context, h holder) (any, error) {
		return nil, h.PutQueries(ctx, dataset.Query{At: newQuery(1).At, Confidence: math.NaN()})
	}},
	{"queries", func(ctx context.Context, h holder) (any, error) { return items(h.Queries(ctx)), nil }},
	{"forget", forgetWith(newExample(7).ID, newExample(8).ID, "ffffffffffff")},
	{"forget again", forgetWith(newExample(7).ID)},
	{"forget nothing", forgetWith()},
	{"get what is forgotten", getWith(newExample(7).ID)},
	{"all but what is forgotten", allWith(dataset.Filter{})},
	{"back up to a folder", func(ctx context.Context, h holder) (any, error) { return h.Backup(ctx, os.TempDir()) }},
	{"verify", func(ctx context.Context, h holder) (any, error) { return h.Verify(ctx) }},
}

// wholeExample has a value in each field that travels in its own way.
func wholeExample() dataset.Example {
	return dataset.Example{
		Messages: []llm.Message{
			{Role: llm.RoleUser, Content: "tab\t, \u2028, </script>, é", Images: []llm.Image{{MediaType: "image/png", Data: []byte{0, 1, 255}}}},
			{Role: llm.RoleAssistant, ToolCalls: []llm.ToolCall{{ID: "1", Name: "f", Arguments: json.RawMessage(`{ "a" : "<&>" , "b":1e2}`)}}},
			{Role: llm.RoleTool, Content: "{}", ToolCallID: "1"},
		},
		Response: "r", QualityScore: 0.3, BaseQuality: new(float64), ModelsAgreed: true, UserFeedback: 4, TaskType: "t",
		CreatedAt:  time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", 7200)),
		Source:     dataset.Source{Kind: "ensemble", Models: []string{"a", "b"}, Strategy: "vote", Seed: new(int64(-1)), CostUSD: 1e-9},
		Candidates: []dataset.Candidate{{Model: "a", Response: "r", Score: 1. / 3}, {Model: "b", Error: "no"}},
		Rejected:   []string{"s"},
	}
}

func newQuery(n int) dataset.Query {
	return dataset.Query{At: time.Date(2026, 1, 1, 0, 0, n, 0, time.FixedZone("", 3600)), Kind: "eval", Strategy: "vote", TaskType: "sums",
		Confidence: 1. / 3, Right: new(bool), Signals: map[string]float64{"margin": 0.1},
		Members: []dataset.QueryMember{{Model: "a", Samples: n}}}
}

func putWith(change func(*dataset.Example)) func(context.Context, holder) (any, error) {
	return func(ctx context.Context, h holder) (any, error) {
		ex := newExample(1000)
		change(&ex)
		return h.Put(ctx, newExample(1001), ex)
	}
}

func getWith(id string) func(context.Context, holder) (any, error) {
	return func(ctx context.Context, h holder) (any, error) { return h.Get(ctx, id) }
}

func rateWith(id string, stars int) func(context.Context, holder) (any, error) {
	return func(ctx context.Context, h holder) (any, error) { return h.Rate(ctx, id, stars) }
}

func preferWith(p dataset.Preference) func(context.Context, holder) (any, error) {
	return func(ctx context.Context, h holder) (any, error) {
		worse, better, err := h.Prefer(ctx, p)
		return []dataset.Example{worse, better}, err
	}
}

func forgetWith(ids ...string) func(context.Context, holder) (any, error) {
	return func(ctx context.Context, h holder) (any, error) { return h.Forget(ctx, ids...) }
}

func allWith(f dataset.Filter) func(context.Context, holder) (any, error) {
	return func(ctx context.Context, h holder) (any, error) { return items(h.All(ctx, f)), nil }
}

// item is what a sequence yielded once.
type item struct {
	Value any
	Error string
	Kinds []string
}

func items[T any](seq iter.Seq2[T, error]) (out []item) {
	for v, err := range seq {
		it := item{Value: v}
		if err != nil {
			it.Error, it.Kinds = err.Error(), wireErrorOf(err).Kinds
		}
		out = append(out, it)
	}
	return out
}

// present matches the times that steps do not set, to the minute or finer.
var present = regexp.MustCompile(time.Now().UTC().Format("2006-01-02") + `T[0-9:.]+Z`)

// outcome is what is compared of a step: all that a verb could print or tell
// apart, as JSON.
func outcome(t *testing.T, dir string, v any, err error) string {
	t.Helper()
	if r, ok := v.(dataset.Report); ok {
		v = reportOf(r)
	}
	data, encodeErr := json.Marshal(v)
	if encodeErr != nil {
		t.Fatal(encodeErr)
	}
	text := string(data)
	if err != nil {
		text += fmt.Sprintf("\n%v %q", err, wireErrorOf(err).Kinds)
	}
	return strings.ReplaceAll(present.ReplaceAllString(text, "NOW"), dir, "DIR")
}

// TestSame does the same with a store that is held, one that is reached through a
// Client, and the two kinds of Store. All must give the same, to the byte.
func TestSame(t *testing.T) {
	type way struct {
		name string
		dir  string
		holder
	}
	var ways []way
	for _, name := range []string{"held", "reached", "shared by its holder", "shared by another"} {
		dir := storeDir(t)
		w := way{name: name, dir: dir}
		switch name {
		case "held":
			w.holder = held(t, dir)
		case "reached":
			_, w.holder = served(t, dir, held(t, dir))
		case "shared by its holder":
			w.holder = shared(t, dir)
		default:
			shared(t, dir)
			s := shared(t, dir)
			if s.Held() {
				t.Fatal("the second to open the store holds it")
			}
			w.holder = s
		}
		ways = append(ways, w)
	}
	for _, st := range steps {
		var want string
		for i, w := range ways {
			v, err := st.do(t.Context(), w.holder)
			got := outcome(t, w.dir, v, err)
			if i == 0 {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-held +this):\n%s", st.name, w.name, diff)
			}
		}
		if strings.Contains(st.name, "not ") && !strings.Contains(want, `"invalid"`) {
			t.Errorf("%s is not refused: %s", st.name, want)
		}
	}
	for _, w := range ways {
		shut(t, w.holder)
	}
	for _, st := range steps {
		if strings.HasPrefix(st.name, "put not") || strings.HasPrefix(st.name, "put ") || strings.Contains(st.name, "wrongly") || strings.HasPrefix(st.name, "log no") {
			continue // refused for what they are, before or after the store is looked at
		}
		for _, w := range ways {
			if v, err := st.do(t.Context(), w.holder); !strings.Contains(outcome(t, w.dir, v, err), dataset.ErrClosed.Error()) && st.name != "get ambiguous" {
				t.Errorf("%s, %s, closed: %v, %v", st.name, w.name, v, err)
			}
		}
	}
}

func TestSame_canceled(t *testing.T) {
	dirs := []string{storeDir(t), storeDir(t)}
	direct := held(t, dirs[0])
	_, c := served(t, dirs[1], held(t, dirs[1]))
	mustPut(t, direct, newExamples(0, 3)...)
	mustPut(t, c, newExamples(0, 3)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func(holder) error{
		"get":     func(h holder) error { _, err := h.Get(ctx, newExample(1).ID); return err },
		"all":     func(h holder) error { return lastError(h.All(ctx, dataset.Filter{})) },
		"stats":   func(h holder) error { _, err := h.Stats(ctx); return err },
		"queries": func(h holder) error { return lastError(h.Queries(ctx)) },
		"verify":  func(h holder) error { _, err := h.Verify(ctx); return err },
	} {
		want, got := do(direct), do(c)
		if !errors.Is(got, context.Canceled) || strings.ReplaceAll(got.Error(), dirs[1], dirs[0]) != want.Error() {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// A backup is written where the caller is, not where the holder is.
func TestBackup_relativePath(t *testing.T) {
	dir := storeDir(t)
	s := held(t, dir)
	mustPut(t, s, newExample(1))
	_, c := served(t, dir, s)
	elsewhere := t.TempDir()
	t.Chdir(elsewhere)
	for name, h := range map[string]holder{"reached": c, "shared": shared(t, dir)} {
		if _, err := h.Backup(t.Context(), name); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(filepath.Join(elsewhere, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func lastError[T any](seq iter.Seq2[T, error]) (err error) {
	for _, err = range seq {
	}
	return err
}

func TestFilterForm_holdsEveryField(t *testing.T) {
	f := dataset.Filter{TaskType: "t\xff&", MinQuality: 1. / 3, Split: "s", Kind: "k", Limit: 7}
	got, err := formFilter(filterForm(f))
	if err != nil || got != f {
		t.Errorf("%+v, %v; want %+v", got, err, f)
	}
	if n := len(filterForm(f)); n != countFields(f) {
		t.Errorf("the form has %d fields, a Filter %d", n, countFields(f))
	}
	p := dataset.Preference{ID: "\xff", Stars: -2, Better: "=&\n"}
	if got, err := formPreference(preferenceForm(p)); err != nil || got != p || len(preferenceForm(p)) != countFields(p) {
		t.Errorf("%+v, %v; want %+v", got, err, p)
	}
}

func countFields(v any) int {
	data, _ := json.Marshal(v)
	var fields map[string]any
	_ = json.Unmarshal(data, &fields)
	return len(fields)
}

func TestErrors_survive(t *testing.T) {
	for _, k := range kinds {
		err := fmt.Errorf("put: %w: 3 MiB", k.err)
		data, encodeErr := json.Marshal(wireErrorOf(err))
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		var w *wireError
		if err := json.Unmarshal(data, &w); err != nil {
			t.Fatal(err)
		}
		got := w.error()
		if got.Error() != err.Error() {
			t.Errorf("%s: text %q, want %q", k.name, got, err)
		}
		for _, other := range kinds {
			if errors.Is(got, other.err) != errors.Is(err, other.err) {
				t.Errorf("%s: errors.Is(%s) is %v", k.name, other.name, errors.Is(got, other.err))
			}
		}
	}
}

// As many IDs as the reader of a form does not take.
func TestClient_Forget_many(t *testing.T) {
	dir := storeDir(t)
	s := held(t, dir)
	mustPut(t, s, newExamples(0, 2)...)
	_, c := served(t, dir, s)
	ids := []string{newExample(0).ID}
	for n := range 11_000 {
		ids = append(ids, fmt.Sprintf("%064x", n))
	}
	if n, err := c.Forget(t.Context(), append(ids, newExample(1).ID)...); n != 2 || err != nil {
		t.Errorf("%d, %v; want 2", n, err)
	}
}
