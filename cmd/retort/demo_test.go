package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"retort/models"
	"retort/models/gguf/gguftest"
)

// A name that a model has is refused before all the asking, not after it.
func TestFreeName(t *testing.T) {
	r := withConfig(t, "")
	reg, err := r.registry()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "base.gguf")
	if err := os.WriteFile(path, gguftest.File{
		Meta:    []gguftest.Pair{{Key: "general.architecture", Value: "llama"}},
		Tensors: []gguftest.Tensor{gguftest.F32("blk.0.attn_q.weight", []uint64{8, 8}, make([]float32, 64))},
	}.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Import(t.Context(), path, models.ImportOptions{ID: "desk"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.freeName("desk", "desk"); !errors.Is(err, models.ErrExists) || hintOf(err) == "" {
		t.Errorf("error %v, want that it exists", err)
	}
	for given, want := range map[string]string{"": "desk-2", "other": "other"} {
		if name, err := r.freeName(given, "desk"); name != want || err != nil {
			t.Errorf("%q: %q, %v", given, name, err)
		}
	}
}
