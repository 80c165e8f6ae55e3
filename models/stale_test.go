package models

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// family is a registry with what came of the runs r1 and r2.
func family(t *testing.T) *Registry {
	t.Helper()
	r := open(t, t.TempDir())
	addBase(t, r, "base", 1)
	for id, run := range map[string]string{"one": "r1", "two": "r2"} {
		spec := AdapterSpec{ID: id, Parent: "base", File: adapterGGUF(uint64(len(run)+int(run[1]))).Write(t, "a.gguf"), Run: run}
		if _, err := r.AddAdapter(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Merge(t.Context(), "one", "a-merged", fakeQuantizer{}, MergeOptions{Quantization: "F32"}); err != nil {
		t.Fatal(err)
	}
	addAdapter(t, r, "over-merged", "a-merged", 8) // of no run that is known
	return r
}

func staleIDs(t *testing.T, r *Registry) (ids []string) {
	t.Helper()
	list, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Stale != nil {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

func TestMarkStale(t *testing.T) {
	r := family(t)
	first := Stale{Why: "first", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	ids, err := r.MarkStale(first, "r1", "unknown")
	want := []string{"a-merged", "one", "over-merged"}
	if diff := cmp.Diff(want, ids); diff != "" || err != nil {
		t.Errorf("marked %v, %s", err, diff)
	}
	if diff := cmp.Diff(want, staleIDs(t, open(t, r.dir))); diff != "" {
		t.Error(diff)
	}
	if ids, err := r.MarkStale(Stale{Why: "second"}, "r2", "r1"); len(ids) != 4 || err != nil {
		t.Errorf("marked %q, %v", ids, err)
	}
	for id, want := range map[string]string{"one": "first", "two": "second"} {
		if m, err := r.Get(id); err != nil || m.Stale == nil || m.Stale.Why != want {
			t.Errorf("%s: %+v, %v; want %q", id, m.Stale, err, want)
		}
	}
	if ids, err := r.MarkStale(first); ids != nil || err != nil { // a base came of no run
		t.Errorf("without runs: %q, %v", ids, err)
	}
}

func TestMarkStale_whatIsMadeLaterInheritsIt(t *testing.T) {
	r := family(t)
	if _, err := r.MarkStale(Stale{Why: "old"}, "r1"); err != nil {
		t.Fatal(err)
	}
	merged, err := r.Merge(t.Context(), "one", "later", fakeQuantizer{}, MergeOptions{Quantization: "F32"})
	if err != nil || merged.Stale == nil {
		t.Errorf("merged later: %+v, %v", merged.Stale, err)
	}
	if m := addAdapter(t, r, "on-it", "later", 9); m.Stale == nil {
		t.Error("an adapter over it is not stale")
	}
	if m := addAdapter(t, r, "fresh", "base", 10); m.Stale != nil {
		t.Error("an adapter over the base is stale")
	}
}

func TestMarkStale_faults(t *testing.T) {
	r := family(t)
	if err := os.WriteFile(filepath.Join(r.Dir("two"), manifestFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.MarkStale(Stale{Why: "x"}, "r1"); err == nil {
		t.Error("a damaged manifest goes unnoticed")
	}
	if diff := cmp.Diff([]string{"a-merged", "one", "over-merged"}, func() (ids []string) {
		list, _ := r.MadeIn("r1") // the damage is known
		for _, m := range list {
			if m.Stale != nil {
				ids = append(ids, m.ID)
			}
		}
		return ids
	}()); diff != "" {
		t.Errorf("beside the damaged one: %s", diff)
	}
	r = family(t)
	broken := errors.New("broken")
	r.fault = func(step string) error {
		if step == "rename manifest.json" {
			return broken
		}
		return nil
	}
	if _, err := r.MarkStale(Stale{Why: "x"}, "r1"); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	r.fault = nil
	if ids := staleIDs(t, r); ids != nil {
		t.Errorf("half marked: %q", ids)
	}
}

// TestMarkStale_whileSomethingIsMade has another process mark the parent when the
// weights of what is made from it are there already.
func TestMarkStale_whileSomethingIsMade(t *testing.T) {
	for name, call := range map[string]func(*Registry) (Manifest, error){
		"sync adapter.gguf": func(r *Registry) (Manifest, error) {
			return r.AddAdapter(t.Context(), AdapterSpec{ID: "new", Parent: "a-merged", File: adapterGGUF(20).Write(t, "a.gguf")})
		},
		"sync model.gguf": func(r *Registry) (Manifest, error) {
			return r.Merge(t.Context(), "one", "new", fakeQuantizer{}, MergeOptions{Quantization: "F32"})
		},
	} {
		r := family(t)
		other := open(t, r.dir)
		r.fault = func(step string) error {
			if step != name {
				return nil
			}
			_, err := other.MarkStale(Stale{Why: "meanwhile"}, "r1")
			return err
		}
		if m, err := call(r); err != nil || m.Stale == nil || m.Stale.Why != "meanwhile" {
			t.Errorf("%s: stale %+v, error %v", name, m.Stale, err)
		}
	}
}

// TestCommit_parentIsGone is of parents that another process has removed when all
// but the name of what was made from them is there.
func TestCommit_parentIsGone(t *testing.T) {
	r := family(t)
	for kind, want := range map[Kind]error{KindAdapter: ErrNotFound, KindMerged: nil} {
		s, err := r.newStage()
		if err != nil {
			t.Fatal(err)
		}
		defer s.drop()
		m := Manifest{ID: "new-" + string(kind), Kind: kind, File: modelFile, Parent: "gone", Adapter: &Adapter{File: adapterFile}}
		if _, err := s.commit(m); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", kind, err, want)
		}
	}
}
