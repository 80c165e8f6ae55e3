package llamacpp

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"retort/models/gguf/gguftest"
)

// TestOpen_hostileFilesNeverReachTheLoader opens the corpus with no engine at
// all: an Open that got as far as the loader would end in a panic.
func TestOpen_hostileFilesNeverReachTheLoader(t *testing.T) {
	corpus := gguftest.Hostile()
	if len(corpus) < 40 {
		t.Fatalf("a corpus of %d files, want 40 or more", len(corpus))
	}
	path := filepath.Join(t.TempDir(), "hostile.gguf")
	sound, reached := tinyModel(t, "llama"), 0
	for _, c := range corpus {
		if err := os.WriteFile(path, c.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, opts := range map[string]Options{path: {}, sound: {Adapters: []Adapter{{Path: path, Scale: 1}}}} {
			func() {
				defer func() {
					if recover() != nil {
						reached++
						t.Errorf("%s reached the loader", c.Name)
					}
				}()
				if _, err := (*Engine)(nil).Open(t.Context(), name, opts); err == nil {
					t.Errorf("%s was opened", c.Name)
				}
			}()
		}
	}
	t.Logf("%d hostile files, as model and as adapter: %d reached the loader", len(corpus), reached)
}

// FuzzCheckModel holds all that is looked at before the loader: no panic, and no
// more memory than the file is large.
func FuzzCheckModel(f *testing.F) {
	f.Add(gguftest.File{Meta: tinyMeta("llama"), Tensors: []gguftest.Tensor{gguftest.F32("t", []uint64{2}, []float32{1, 2})}}.Bytes())
	for _, c := range gguftest.Hostile() {
		if len(c.Data) < 1<<12 {
			f.Add(c.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := checkModel(path)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20+uint64(100*len(data)) {
			t.Errorf("%d bytes allocated for a file of %d", n, len(data))
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error of several lines: %v", err)
		}
	})
}
