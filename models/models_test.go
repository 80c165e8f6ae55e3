package models

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"retort/models/gguf"
	"retort/models/gguf/gguftest"
)

// The shape of the test models.
const (
	width = 8
	vocab = 16
	heads = 12
	rank  = 2
)

func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}

// baseGGUF is a tiny model; its weights depend on the seed.
func baseGGUF(seed uint64) gguftest.File {
	return gguftest.File{
		Meta: []gguftest.Pair{
			{Key: "general.architecture", Value: "llama"},
			{Key: "general.license", Value: "mit"},
			{Key: "general.file_type", Value: uint32(0)},
			{Key: "llama.context_length", Value: uint32(512)},
		},
		Tensors: []gguftest.Tensor{
			gguftest.F32("token_embd.weight", []uint64{width, vocab}, random(seed, width*vocab)),
			gguftest.F32("blk.0.attn_norm.weight", []uint64{width}, random(seed+1, width)),
			gguftest.F32("blk.0.attn_q.weight", []uint64{width, heads}, random(seed+2, width*heads)),
			gguftest.F32("output.weight", []uint64{width, vocab}, random(seed+3, width*vocab)),
		},
	}
}

// adapterGGUF is a LoRA of alpha 4 for attn_q of a baseGGUF.
func adapterGGUF(seed uint64) gguftest.File {
	return gguftest.File{
		Meta: []gguftest.Pair{
			{Key: "general.type", Value: "adapter"},
			{Key: "general.architecture", Value: "llama"},
			{Key: "adapter.type", Value: "lora"},
			{Key: "adapter.lora.alpha", Value: float32(4)},
		},
		Tensors: []gguftest.Tensor{
			gguftest.F32("blk.0.attn_q.weight.lora_a", []uint64{width, rank}, random(seed, width*rank)),
			gguftest.F32("blk.0.attn_q.weight.lora_b", []uint64{rank, heads}, random(seed+1, rank*heads)),
		},
	}
}

func open(t testing.TB, dir string) *Registry {
	t.Helper()
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// addBase imports a tiny model under id.
func addBase(t testing.TB, r *Registry, id string, seed uint64) Manifest {
	t.Helper()
	m, err := r.Import(context.Background(), baseGGUF(seed).Write(t, "base.gguf"), ImportOptions{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func addAdapter(t testing.TB, r *Registry, id, parent string, seed uint64) Manifest {
	t.Helper()
	m, err := r.AddAdapter(context.Background(), AdapterSpec{ID: id, Parent: parent, File: adapterGGUF(seed).Write(t, "a.gguf")})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ids(t testing.TB, r *Registry) []string {
	t.Helper()
	list, err := r.List()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range list {
		out = append(out, m.ID)
	}
	return out
}

// leftovers returns the temporary names in the registry's folder.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

var hostileIDs = []string{
	"", " ", ".", "..", "...", "/", "//", "\\", "a/b", "a\\b", "../a", "a/..", "..\\a", "/etc/passwd",
	"~", "~root", "$HOME", "%2e%2e", "%00", "a\x00b", "a\nb", "a\r", "a\tb", "a b", " a", "a ",
	"A", "Gemma", "é", "ａ", "a\u202eb", "a\u0301", "🙂", "\xff", "-a", "--help", "_a", ".a", ".lock", ".tmp-1",
	"a.", "a:b", "c:", "c:a", "a*", "a?", "a|b", "a;b", "a`b", "a'b", "a\"b", "a<b", "a&b", "a#b", "a@sha256:0",
	"con", "nul", "aux.gguf", "com1", "lpt9.x", "current.json", strings.Repeat("a", 65), strings.Repeat("../", 30) + "a",
}

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "0", "gemma-3-270m", "smollm2-135m-instruct", "a_b", "v1.2", "a..b", "console", "a-", strings.Repeat("a", 64)} {
		if !ValidID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	if len(hostileIDs) < 50 {
		t.Fatalf("only %d hostile IDs", len(hostileIDs))
	}
	for _, id := range hostileIDs {
		if ValidID(id) {
			t.Errorf("%q passes", id)
		}
	}
}

func TestIDFromFile(t *testing.T) {
	for path, want := range map[string]string{
		"/x/SmolLM2-135M-Instruct.Q4_1.gguf": "smollm2-135m-instruct.q4_1",
		"My model (1).GGUF":                  "my-model-1",
		"../..":                              "model",
		"..gguf":                             "model",
		"con.gguf":                           "model",
		strings.Repeat("a.", 60):             strings.Repeat("a.", 31) + "a",
	} {
		if got := IDFromFile(path); got != want {
			t.Errorf("IDFromFile(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestRegistry_refusesHostileIDs(t *testing.T) {
	home := t.TempDir()
	r := open(t, filepath.Join(home, "models"))
	base := addBase(t, r, "base", 1)
	addAdapter(t, r, "adapter", "base", 2)
	want := tree(t, home)
	ctx := context.Background()
	file := adapterGGUF(3).Write(t, "a.gguf")
	for _, id := range hostileIDs {
		_, getErr := r.Get(id)
		_, resolveErr := r.Resolve(id)
		_, importErr := r.Import(ctx, r.Path(base), ImportOptions{ID: id})
		_, addErr := r.AddAdapter(ctx, AdapterSpec{ID: id, Parent: "base", File: file})
		_, parentErr := r.AddAdapter(ctx, AdapterSpec{ID: "new", Parent: id, File: file})
		_, mergeErr := r.Merge(ctx, "adapter", id, fakeQuantizer{}, MergeOptions{})
		for i, err := range []error{getErr, resolveErr, importErr, addErr, parentErr, mergeErr, r.Use(id), r.SetGate(id, Gate{}), r.Remove(id)} {
			if !errors.Is(err, ErrInvalidID) {
				t.Errorf("%q, call %d: %v", id, i, err)
			}
		}
	}
	if diff := cmp.Diff(want, tree(t, home)); diff != "" {
		t.Errorf("files changed: %s", diff)
	}
}

// tree returns the paths below dir.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRegistry_refusesHostileManifest(t *testing.T) {
	for name, manifest := range map[string]string{
		"path out of the folder": `{"id":"m","kind":"base","file":"../../secret.gguf"}`,
		"absolute path":          `{"id":"m","kind":"base","file":"/etc/passwd"}`,
		"no file":                `{"id":"m","kind":"base"}`,
		"the folder itself":      `{"id":"m","kind":"base","file":"."}`,
		"other ID":               `{"id":"n","kind":"base","file":"model.gguf"}`,
		"unknown kind":           `{"id":"m","kind":"x","file":"model.gguf"}`,
		"adapter without one":    `{"id":"m","kind":"adapter","parent":"base"}`,
		"adapter path":           `{"id":"m","kind":"adapter","parent":"base","adapter":{"file":"../a"}}`,
		"parent path":            `{"id":"m","kind":"adapter","parent":"../base","adapter":{"file":"a"}}`,
		"no JSON":                `{"id":"m",`,
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir())
			addBase(t, r, "base", 1)
			addBase(t, r, "m", 2)
			path := filepath.Join(r.Dir("m"), manifestFile)
			if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Get("m"); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("Get: %v", err)
			}
			list, err := r.List()
			if err == nil || !strings.Contains(err.Error(), `"m"`) || len(list) != 1 || list[0].ID != "base" {
				t.Errorf("List = %v, %v", list, err)
			}
			if err := r.Remove("m"); err != nil {
				t.Errorf("Remove: %v", err)
			}
			if diff := cmp.Diff([]string{"base"}, ids(t, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A model may lie on another disk, with a link in its place.
func TestRegistry_List_followsLinks(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "moved")
	r := open(t, dir)
	addBase(t, r, "base", 1)
	if err := os.Rename(r.Dir("base"), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, r.Dir("base")); err != nil {
		t.Skip("no links here:", err)
	}
	if got := ids(t, r); !slices.Equal(got, []string{"base"}) {
		t.Errorf("%q, want the model behind the link", got)
	}
	if err := r.Remove("base"); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, r); len(got) > 0 {
		t.Errorf("%q is left", got)
	}
}

func TestRegistry_addsAdapterAndResolves(t *testing.T) {
	r := open(t, t.TempDir())
	base := addBase(t, r, "base", 1)
	file := adapterGGUF(2).Write(t, "a.gguf")
	gate := &Gate{Passed: true, Items: 240, Accuracy: 0.8}
	spec := AdapterSpec{ID: "tuned", Parent: "base", File: file, Rank: rank, Alpha: 4, Run: "r1", TaskType: "intent", Template: "plain", Gate: gate}
	m, err := r.AddAdapter(context.Background(), spec)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.Path(m))
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{
		ID: "tuned", Kind: KindAdapter, Architecture: "llama", ContextLength: 512, License: "mit", Size: info.Size(),
		Source: file, Template: "plain", Parent: "base", ParentDigest: base.Digest, Run: "r1", TaskType: "intent", Gate: gate,
		Adapter: &Adapter{File: adapterFile, Rank: rank, Alpha: 4, Scale: 1},
	}
	got, err := r.Get("tuned")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Manifest{}, "CreatedAt", "Digest")); diff != "" {
		t.Error(diff)
	}
	again, err := r.AddAdapter(context.Background(), spec)
	if diff := cmp.Diff(got, again); diff != "" || err != nil {
		t.Errorf("same adapter again: %v %s", err, diff)
	}
	load, err := r.Resolve("tuned")
	wantLoad := Loadable{ID: "tuned", Base: r.Path(base), Adapter: r.Path(m), Scale: 1, Template: "plain"}
	if diff := cmp.Diff(wantLoad, load); diff != "" || err != nil {
		t.Errorf("Resolve: %v %s", err, diff)
	}
}

func TestRegistry_refusesAdapterThatDoesNotFit(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "base", 1)
	addAdapter(t, r, "tuned", "base", 2)
	tied := baseGGUF(3)
	tied.Tensors = tied.Tensors[:3]
	if _, err := r.Import(context.Background(), tied.Write(t, "t.gguf"), ImportOptions{ID: "tied"}); err != nil {
		t.Fatal(err)
	}
	meta := func(key string, value any) func(*gguftest.File) {
		return func(f *gguftest.File) {
			for i := range f.Meta {
				if f.Meta[i].Key == key {
					f.Meta[i].Value = value
				}
			}
		}
	}
	tensors := func(ts ...gguftest.Tensor) func(*gguftest.File) {
		return func(f *gguftest.File) { f.Tensors = ts }
	}
	a, b := adapterGGUF(2).Tensors[0], adapterGGUF(2).Tensors[1]
	named := func(t gguftest.Tensor, name string) gguftest.Tensor { t.Name = name; return t }
	for name, c := range map[string]struct {
		change func(*gguftest.File)
		spec   AdapterSpec
		want   string
	}{
		"is a model":          {meta("general.type", "model"), AdapterSpec{}, "is no LoRA adapter"},
		"other method":        {meta("adapter.type", "ia3"), AdapterSpec{}, "is no LoRA adapter"},
		"other architecture":  {meta("general.architecture", "gemma3"), AdapterSpec{}, `architecture "gemma3", its base is of "llama"`},
		"no tensors":          {tensors(), AdapterSpec{}, "holds no tensors"},
		"half a pair":         {tensors(a), AdapterSpec{}, "no partner lora_b"},
		"other half":          {tensors(b), AdapterSpec{}, "no partner lora_a"},
		"not a pair":          {tensors(a, b, named(a, "blk.0.attn_norm.weight")), AdapterSpec{}, "neither lora_a nor lora_b"},
		"unknown target":      {tensors(named(a, "x.lora_a"), named(b, "x.lora_b")), AdapterSpec{}, "does not have"},
		"vector target":       {tensors(named(a, "blk.0.attn_norm.weight.lora_a"), named(b, "blk.0.attn_norm.weight.lora_b")), AdapterSpec{}, "no matrix"},
		"shape":               {tensors(named(a, "output.weight.lora_a"), named(b, "output.weight.lora_b")), AdapterSpec{}, "does not fit"},
		"infinite alpha":      {meta("adapter.lora.alpha", math.Inf(1)), AdapterSpec{}, "its alpha is +Inf"},
		"rank":                {meta("", ""), AdapterSpec{Rank: 16}, "its rank is 2, not 16"},
		"alpha":               {meta("", ""), AdapterSpec{Alpha: 5}, "its alpha is 4, not 5"},
		"parent unknown":      {meta("", ""), AdapterSpec{Parent: "none"}, "no such model"},
		"parent is adapter":   {meta("", ""), AdapterSpec{Parent: "tuned"}, "is an adapter"},
		"ID taken":            {meta("", ""), AdapterSpec{ID: "base"}, "another model has that name"},
		"embedding is output": {tensors(named(a, "token_embd.weight.lora_a"), named(b, "token_embd.weight.lora_b")), AdapterSpec{Parent: "tied"}, "uses for the output"},
	} {
		t.Run(name, func(t *testing.T) {
			file := adapterGGUF(9)
			c.change(&file)
			c.spec.File = file.Write(t, "a.gguf")
			if c.spec.Parent == "" {
				c.spec.Parent = "base"
			}
			if c.spec.ID == "" {
				c.spec.ID = "new"
			}
			_, err := r.AddAdapter(context.Background(), c.spec)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
	if got := leftovers(t, r.dir); got != nil {
		t.Errorf("left: %q", got)
	}
}

func TestResolve_refusesChangedBase(t *testing.T) {
	r := open(t, t.TempDir())
	base := addBase(t, r, "base", 1)
	addAdapter(t, r, "tuned", "base", 2)
	base.Digest = "sha256:other"
	if err := r.writeJSON(filepath.Join(r.Dir("base"), manifestFile), base); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve("tuned"); err == nil || !strings.Contains(err.Error(), "was trained on") {
		t.Errorf("error = %v", err)
	}
	if err := r.Use("tuned"); err == nil {
		t.Error("it was put in use")
	}
}

func TestSetGate(t *testing.T) {
	r := open(t, t.TempDir())
	addBase(t, r, "base", 1)
	want := Gate{Passed: true, Items: 3, Reason: "better"}
	if err := r.SetGate("base", want); err != nil {
		t.Fatal(err)
	}
	m, err := open(t, r.dir).Get("base")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, m.Gate); diff != "" {
		t.Error(diff)
	}
}

func TestQuantization(t *testing.T) {
	for name, c := range map[string]struct {
		file gguftest.File
		want string
	}{
		"named":  {gguftest.File{Meta: []gguftest.Pair{{Key: "general.file_type", Value: uint32(15)}}}, "Q4_K_M"},
		"silent": {gguftest.File{Tensors: []gguftest.Tensor{{Name: "q", Dims: []uint64{256}, Type: 2, Data: make([]byte, 144)}, gguftest.F32("f", []uint64{3}, random(1, 3))}}, "Q4_0"},
		"guess":  {gguftest.File{Meta: []gguftest.Pair{{Key: "general.file_type", Value: uint32(1024)}}, Tensors: []gguftest.Tensor{gguftest.F32("f", []uint64{3}, random(1, 3))}}, "F32"},
	} {
		f, err := gguf.Open(c.file.Write(t, "x.gguf"))
		if err != nil {
			t.Fatal(err)
		}
		if got := quantization(f); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		f.Close()
	}
}
