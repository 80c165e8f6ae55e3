package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

func TestImport(t *testing.T) {
	for _, link := range []bool{false, true} {
		r := open(t, t.TempDir())
		data := baseGGUF(1).Bytes()
		path := baseGGUF(1).Write(t, "base.gguf")
		var done, total int64
		m, err := r.Import(context.Background(), path, ImportOptions{
			ID: "m", Template: "plain", Link: link,
			Progress: func(d, n int64) { done, total = d, n },
		})
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		want := Manifest{
			ID: "m", Kind: KindBase, Architecture: "llama", File: modelFile, Digest: "sha256:" + hex.EncodeToString(sum[:]),
			Size: int64(len(data)), ContextLength: 512, Quantization: "F32", Template: "plain", License: "mit", Source: path,
		}
		if diff := cmp.Diff(want, m, cmpopts.IgnoreFields(Manifest{}, "CreatedAt")); diff != "" {
			t.Errorf("link %v: %s", link, diff)
		}
		if done != total || total != m.Size {
			t.Errorf("progress ended at %d of %d", done, total)
		}
		stored, err := open(t, r.dir).Get("m")
		if diff := cmp.Diff(m, stored); diff != "" || err != nil {
			t.Errorf("stored: %v %s", err, diff)
		}
		if got, err := os.ReadFile(r.Path(m)); string(got) != string(data) || err != nil {
			t.Errorf("content differs: %v", err)
		}
		if got := tree(t, r.Dir("m")); len(got) != 3 {
			t.Errorf("folder holds %q", got)
		}
	}
}

func TestImport_linkNeedsNoSpace(t *testing.T) {
	r := open(t, t.TempDir())
	path := baseGGUF(1).Write(t, "base.gguf")
	m, err := r.Import(context.Background(), path, ImportOptions{ID: "m", Link: true})
	if err != nil {
		t.Fatal(err)
	}
	a, errA := os.Stat(path)
	b, errB := os.Stat(r.Path(m))
	if err := errors.Join(errA, errB); err != nil || !os.SameFile(a, b) {
		t.Errorf("not the same file: %v", err)
	}
}

func TestImport_again(t *testing.T) {
	r := open(t, t.TempDir())
	first := addBase(t, r, "m", 1)
	again := addBase(t, r, "m", 1)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("same content: %s", diff)
	}
	_, err := r.Import(context.Background(), baseGGUF(2).Write(t, "b.gguf"), ImportOptions{ID: "m"})
	if !errors.Is(err, ErrExists) {
		t.Errorf("other content: %v", err)
	}
	if err := os.Mkdir(r.Dir("taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = r.Import(context.Background(), baseGGUF(2).Write(t, "b.gguf"), ImportOptions{ID: "taken"})
	if !errors.Is(err, ErrExists) {
		t.Errorf("a folder that is no model: %v", err)
	}
	if diff := cmp.Diff([]string{"m"}, ids(t, r)); diff != "" {
		t.Error(diff)
	}
}

func TestImport_concurrently(t *testing.T) {
	dir := t.TempDir()
	path := baseGGUF(1).Write(t, "b.gguf")
	results := make(chan error)
	for range 8 {
		go func() {
			r, err := Open(dir) // cleans while the others import
			if err == nil {
				_, err = r.Import(context.Background(), path, ImportOptions{ID: "m"})
			}
			results <- err
		}()
	}
	for range 8 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := leftovers(t, dir); got != nil {
		t.Errorf("left: %q", got)
	}
}

func TestImport_refuses(t *testing.T) {
	with := func(key string, value any) []byte {
		f := baseGGUF(1)
		f.Meta = append(f.Meta, gguftest.Pair{Key: key, Value: value})
		return f.Bytes()
	}
	good := baseGGUF(1).Bytes()
	for name, c := range map[string]struct {
		data []byte
		opts ImportOptions
		is   error
		want string
	}{
		"empty file":    {nil, ImportOptions{}, gguf.ErrNotGGUF, "not a GGUF file"},
		"no GGUF":       {[]byte("<html>"), ImportOptions{}, gguf.ErrNotGGUF, "not a GGUF file"},
		"truncated":     {good[:len(good)-1], ImportOptions{}, gguf.ErrTruncated, `tensor 3 "output.weight" ends past the file`},
		"adapter":       {adapterGGUF(1).Bytes(), ImportOptions{}, nil, "is an adapter"},
		"projector":     {with("general.type", "mmproj"), ImportOptions{}, nil, `"mmproj", not a model`},
		"part of split": {with("split.count", uint16(3)), ImportOptions{}, nil, "one of 3 parts"},
		"no tensors":    {gguftest.File{Meta: baseGGUF(1).Meta}.Bytes(), ImportOptions{}, nil, "holds no model"},
		"nothing":       {gguftest.File{}.Bytes(), ImportOptions{}, nil, "holds no model"},
		"digest":        {good, ImportOptions{Digest: "sha256:0"}, nil, "its digest is sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir())
			path := filepath.Join(t.TempDir(), "x.gguf")
			if err := os.WriteFile(path, c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			c.opts.ID = "m"
			_, err := r.Import(context.Background(), path, c.opts)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error = %v", err)
			}
			if got := append(leftovers(t, r.dir), ids(t, r)...); got != nil {
				t.Errorf("left: %q", got)
			}
		})
	}
}

func TestImport_cancelled(t *testing.T) {
	r := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	big := baseGGUF(1)
	big.Tensors = append(big.Tensors, gguftest.F32("x", []uint64{1 << 20}, make([]float32, 1<<20)))
	_, err := r.Import(ctx, big.Write(t, "b.gguf"), ImportOptions{ID: "m", Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	if got := append(leftovers(t, r.dir), ids(t, r)...); got != nil {
		t.Errorf("left: %q", got)
	}
}

func TestNeedSpace(t *testing.T) {
	if err := needSpace(t.TempDir(), 1); err != nil {
		t.Error(err)
	}
	if err := needSpace(t.TempDir(), 1<<62); err == nil || !strings.Contains(err.Error(), "MB are free") {
		t.Errorf("error = %v", err)
	}
}
