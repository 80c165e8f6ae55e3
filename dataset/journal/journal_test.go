package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// entries makes n of them, from change first on, with long and short data.
func entries(first, n int) []Entry {
	var list []Entry
	for c := first; c < first+n; c++ {
		e := Entry{Change: uint64(c), Position: uint64(c%5 + 1), Data: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("ä\n", c%7*3))}
		if c%4 == 0 {
			e.Position = 0
		}
		list = append(list, e)
	}
	return list
}

// fill appends n groups of one to three changes and returns all of them.
func fill(t *testing.T, j *Journal, n int) []Entry {
	t.Helper()
	var all []Entry
	for i := range n {
		group := entries(int(j.Last())+1, i%3+1)
		if err := j.Append(group); err != nil {
			t.Fatal(err)
		}
		all = append(all, group...)
	}
	return all
}

func mustOpen(t *testing.T, dir string, limit int64) *Journal {
	t.Helper()
	j, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	j.limit = limit
	t.Cleanup(func() { j.Close() })
	return j
}

// collect reads everything, errors that are damage apart.
func collect(t *testing.T, seq iter.Seq2[Entry, error]) (all []Entry, damage []error) {
	t.Helper()
	for e, err := range seq {
		switch {
		case errors.Is(err, ErrDamaged):
			damage = append(damage, err)
		case err != nil:
			t.Fatal(err)
		default:
			all = append(all, e)
		}
	}
	return all, damage
}

// whole is what the journal in dir holds, which must not be damaged.
func whole(t *testing.T, dir string) []Entry {
	t.Helper()
	all, damage := collect(t, Read(t.Context(), dir))
	if err := errors.Join(damage...); err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, got, want []Entry) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b Entry) bool { return reflect.DeepEqual(a, b) }) {
		t.Fatalf("%d entries, want these %d", len(got), len(want))
	}
}

func TestJournal_givesBackWhatWasAppended(t *testing.T) {
	for _, limit := range []int64{1, 400, maxSegment} {
		dir := filepath.Join(t.TempDir(), "journal")
		j := mustOpen(t, dir, limit)
		want := fill(t, j, 20)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = mustOpen(t, dir, limit)
		if j.Last() != uint64(len(want)) {
			t.Errorf("last change %d, want %d", j.Last(), len(want))
		}
		want = append(want, fill(t, j, 5)...)
		same(t, whole(t, dir), want)
		for _, since := range []int{0, 1, 7, len(want) - 1, len(want)} {
			got, damage := collect(t, ReadSince(t.Context(), dir, uint64(since)))
			if len(damage) > 0 {
				t.Error(damage)
			}
			same(t, got, want[since:])
		}
	}
}

func TestJournal_Append_refuses(t *testing.T) {
	j := mustOpen(t, filepath.Join(t.TempDir(), "journal"), maxSegment)
	fill(t, j, 2)
	next := j.Last() + 1
	for name, group := range map[string][]Entry{
		"a gap":         {{Change: next + 1, Data: []byte("{}")}},
		"an old change": {{Change: next - 1, Data: []byte("{}")}},
		"a gap inside":  {{Change: next, Data: []byte("{}")}, {Change: next + 2, Data: []byte("{}")}},
		"two lines":     {{Change: next, Data: []byte("{\n}")}},
		"no data":       {{Change: next}},
	} {
		if err := j.Append(group); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	fill(t, j, 1)
}

// A journal that ends anywhere inside its last group is one without it.
func TestOpen_cutsATornEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, maxSegment)
	want := fill(t, j, 4)
	before := j.size
	fill(t, j, 2)
	path := filepath.Join(dir, segmentName(1))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := entries(int(want[len(want)-1].Change)+1, 1) // the first group that may be torn
	afterFirst := before + int64(len(appendEntry(nil, second[0], second[0].Change)))
	for end := before; end < int64(len(raw)); end += 3 {
		if err := os.WriteFile(path, raw[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		expected := want
		if end >= afterFirst {
			expected = append(slices.Clone(want), second...)
		}
		same(t, whole(t, dir), expected)
		j := mustOpen(t, dir, maxSegment)
		more := fill(t, j, 1)
		same(t, whole(t, dir), append(slices.Clone(expected), more...))
		j.Close()
	}
}

// Whatever byte is wrong: it is found, or the last group counts as never written.
func TestRead_findsEveryFlippedByte(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, dir string) []Entry{
		"appended": func(t *testing.T, dir string) []Entry {
			j := mustOpen(t, dir, 300)
			defer j.Close()
			return fill(t, j, 6)
		},
		"snapshot": func(t *testing.T, dir string) []Entry {
			list := entries(1, 6)
			if err := Write(dir, 9, sequence(list)); err != nil {
				t.Fatal(err)
			}
			return list
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			want := make(t, dir)
			lastGroup := want[len(want)-1].Change - 2 // the sixth group has three changes
			numbers, err := segments(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range numbers {
				path := filepath.Join(dir, segmentName(n))
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for i := range raw {
					flipped := slices.Clone(raw)
					flipped[i] ^= 0x04
					if err := os.WriteFile(path, flipped, 0o600); err != nil {
						t.Fatal(err)
					}
					got, damage := collect(t, Read(t.Context(), dir))
					for _, e := range got {
						if !slices.ContainsFunc(want, func(w Entry) bool { return reflect.DeepEqual(e, w) }) {
							t.Fatalf("byte %d: entry %d is wrong", i, e.Change)
						}
					}
					torn := name == "appended" && n == len(numbers) && len(got) < len(want) &&
						(len(got) == 0 || got[len(got)-1].Change < lastGroup)
					if len(damage) == 0 && !torn {
						t.Fatalf("segment %d byte %d: not found; %d of %d entries", n, i, len(got), len(want))
					}
				}
				if err := os.WriteFile(path, raw, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestJournal_missingSegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, 300)
	all := fill(t, j, 12)
	j.Close()
	if j.number < 4 {
		t.Fatalf("%d segments, want some", j.number)
	}
	for n := 1; n < j.number; n++ {
		path := filepath.Join(dir, segmentName(n))
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("Open without segment %d: %v", n, err)
		}
		got, damage := collect(t, Read(t.Context(), dir))
		if len(damage) != 1 || !strings.Contains(damage[0].Error(), segmentName(n)) || len(got) >= len(all) {
			t.Errorf("without segment %d: %d entries, %v", n, len(got), damage)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A segment that has its name and nothing else.
	path := filepath.Join(dir, segmentName(j.number))
	raw, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, appendFooter(raw, j.entries, j.last), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, segmentName(j.number+1)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, dir, 300)
	if again.Last() != j.Last() || len(whole(t, dir)) != len(all) {
		t.Errorf("last change %d, want %d", again.Last(), j.Last())
	}
}

func sequence(list []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestWrite_canBeAppendedTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	list := entries(1, 9)
	slices.Reverse(list)
	if err := Write(dir, 12, sequence(list)); err != nil {
		t.Fatal(err)
	}
	same(t, whole(t, dir), list)
	j := mustOpen(t, dir, maxSegment)
	if j.Last() != 12 {
		t.Fatalf("last change %d, want 12", j.Last())
	}
	more := fill(t, j, 3)
	same(t, whole(t, dir), append(list, more...))
	if got, _ := collect(t, ReadSince(t.Context(), dir, 12)); len(got) != len(more) {
		t.Errorf("%d entries since 12, want %d", len(got), len(more))
	}
}

func TestRead_isCancelled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	fill(t, mustOpen(t, dir, maxSegment), 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range Read(ctx, dir) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want Canceled", err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(filepath.Join(dir, "journal"))
	if err != nil {
		f.Fatal(err)
	}
	if err := j.Append(entries(1, 3)); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "journal", segmentName(1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(appendFooter(raw, 3, 3))
	f.Add(header{segment: 1, after: 5, snapshot: true}.append(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		before, damage := collect(t, Read(t.Context(), dir))
		j, err := Open(dir)
		if err != nil || len(damage) > 0 {
			return
		}
		defer j.Close()
		more := entries(int(j.Last())+1, 2)
		if err := j.Append(more); err != nil {
			t.Fatal(err)
		}
		same(t, whole(t, dir), append(before, more...))
	})
}

// What is read in the short way is what JSON says of it.
func TestParseLine(t *testing.T) {
	for _, e := range entries(1, 12) {
		raw := appendEntry(nil, e, e.Change+1)
		short, err := parseLine(raw[:len(raw)-1])
		if err != nil {
			t.Fatal(err)
		}
		var long line
		if err := json.Unmarshal(raw, &long); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(short, long) || !reflect.DeepEqual(short.entry(), e) {
			t.Errorf("%+v, by JSON %+v", short, long)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "journal")
	j, err := Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	list := make([]Entry, 20_000)
	for i := range list {
		list[i] = Entry{Change: uint64(i + 1), Position: uint64(i + 1), Data: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("word ", 200))}
	}
	if err := j.Append(list); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(j.size)
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
}
