package ollamastore_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"retort/models/ollamastore"
)

const media = "application/vnd.ollama.image."

// layer is one layer of a model that put writes.
type layer struct{ kind, content string }

// put writes a model into the store at dir as a server does.
func put(t *testing.T, dir, place, config string, layers ...layer) {
	t.Helper()
	type wire struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	blob := func(kind, content string) wire {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		write(t, filepath.Join(dir, "blobs", "sha256-"+digest), content)
		return wire{kind, "sha256:" + digest, len(content)}
	}
	var m struct {
		Config wire   `json:"config"`
		Layers []wire `json:"layers"`
	}
	m.Config = blob("application/vnd.docker.container.image.v1+json", config)
	for _, l := range layers {
		m.Layers = append(m.Layers, blob(media+l.kind, l.content))
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "manifests", filepath.FromSlash(place)), string(data))
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *ollamastore.Store {
	t.Helper()
	s, err := ollamastore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

const llama = `{"model_format":"gguf","model_family":"llama","model_type":"134.52M","file_type":"Q4_1"}`

func TestStore_listsAndFinds(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "hub.example/library/tiny/latest", llama, layer{"model", "GGUF tiny"}, layer{"template", "{{ .Prompt }}"},
		layer{"params", `{"stop":["<end>",""],"temperature":0.5}`}, layer{"system", "Be brief."}, layer{"license", "free"})
	put(t, dir, "hub.example/library/tiny/8b", llama, layer{"model", "GGUF 8b"}, layer{"adapter", "GGUF a"}, layer{"adapter", "GGUF b"},
		layer{"projector", "GGUF p"}, layer{"params", `{"stop":"one"}`}, layer{"messages", "[]"}, layer{"tensor", "x"})
	put(t, dir, "hub.example/anna/tiny/latest", llama, layer{"model", "GGUF anna"})
	put(t, dir, "other.example:8080/anna/tiny/latest", llama, layer{"model", "GGUF other"})
	put(t, dir, "hub.example/library/big/cloud", `{"remote_host":"https://example.com"}`)
	s := open(t, dir)
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	want := []string{"big:cloud", "hub.example/anna/tiny:latest", "other.example:8080/anna/tiny:latest", "tiny:8b", "tiny:latest"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if i := list[3]; i.Family != "llama" || i.Quantization != "Q4_1" || i.Parameters != "134.52M" || i.Size != 7 || i.Adapters != 2 || i.Modified.IsZero() {
		t.Errorf("info %+v", i)
	}

	blobs := filepath.Join(dir, "blobs")
	m, err := s.Get("TINY")
	if err != nil || filepath.Dir(m.Weights) != blobs || content(t, m.Weights) != "GGUF tiny" || m.Template != "{{ .Prompt }}" || m.System != "Be brief." {
		t.Errorf("model %+v, error %v", m, err)
	}
	if diff := cmp.Diff([]string{"<end>"}, m.Stop); diff != "" || len(m.Ignored) > 0 {
		t.Errorf("ignored %q, stop (-want +got):\n%s", m.Ignored, diff)
	}
	m, err = s.Get("library/tiny:8b")
	if err != nil || len(m.Adapters) != 2 || content(t, m.Adapters[1]) != "GGUF b" || content(t, m.Projector) != "GGUF p" || m.Stop[0] != "one" || len(m.Ignored) != 2 {
		t.Errorf("model %+v, error %v", m, err)
	}
	if m, err := s.Get("other.example:8080/anna/tiny"); err != nil || content(t, m.Weights) != "GGUF other" {
		t.Errorf("model %+v, error %v", m, err)
	}
	for name, want := range map[string]error{
		"ghost": ollamastore.ErrNotFound, "tiny:9b": ollamastore.ErrNotFound, "": ollamastore.ErrNotFound, "../tiny": ollamastore.ErrNotFound,
		"anna/tiny": ollamastore.ErrAmbiguous, "big:cloud": ollamastore.ErrNoWeights,
	} {
		if _, err := s.Get(name); !errors.Is(err, want) || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("%q: error %v, want %v", name, err, want)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestOpen_none(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "absent")} {
		if _, err := ollamastore.Open(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v, want ErrNotExist", dir, err)
		}
	}
}

// TestStore_hostile has manifests that would lead elsewhere or take much.
func TestStore_hostile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "GGUF secret")
	hex := strings.Repeat("a", 64)
	layerOf := func(digest string, size int) string {
		return fmt.Sprintf(`{"layers":[{"mediaType":"%smodel","digest":%q,"size":%d}]}`, media, digest, size)
	}
	for name, tc := range map[string]struct {
		manifest string
		setup    func(dir string) error
		want     error
	}{
		"no JSON":            {manifest: "GGUF", want: ollamastore.ErrDamaged},
		"other JSON":         {manifest: `[1]`, want: ollamastore.ErrDamaged},
		"path as digest":     {manifest: layerOf("../../secret", 11), want: ollamastore.ErrDamaged},
		"absolute":           {manifest: layerOf(secret, 11), want: ollamastore.ErrDamaged},
		"path in digest":     {manifest: layerOf("sha256:"+strings.Repeat("../", 21)+"a", 11), want: ollamastore.ErrDamaged},
		"line end in digest": {manifest: layerOf("sha256:"+hex+"\n", 11), want: ollamastore.ErrDamaged},
		"short digest":       {manifest: layerOf("sha256:"+hex[1:], 11), want: ollamastore.ErrDamaged},
		"upper case":         {manifest: layerOf("sha256:"+strings.ToUpper(hex), 11), want: ollamastore.ErrDamaged},
		"no prefix":          {manifest: layerOf(hex, 11), want: ollamastore.ErrDamaged},
		"negative size":      {manifest: layerOf("sha256:"+hex, -1), want: ollamastore.ErrDamaged},
		"no digest": {manifest: fmt.Sprintf(`{"config":%[1]s,"layers":[%[1]s]}`, `{"mediaType":"`+media+`model"}`),
			want: ollamastore.ErrDamaged},
		"no digest of a text": {manifest: fmt.Sprintf(`{"config":%[1]s,"layers":[%[1]s]}`, `{"mediaType":"`+media+`params"}`),
			want: ollamastore.ErrDamaged},
		"missing blob": {manifest: layerOf("sha256:"+hex, 11), want: fs.ErrNotExist},
		"half a blob": {manifest: layerOf("sha256:"+hex, 99), want: ollamastore.ErrDamaged,
			setup: func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "blobs", "sha256-"+hex), []byte("half"), 0o600)
			}},
		"folder as blob": {manifest: layerOf("sha256:"+hex, 4096), want: ollamastore.ErrDamaged,
			setup: func(dir string) error { return os.Mkdir(filepath.Join(dir, "blobs", "sha256-"+hex), 0o700) }},
		"link out of the store": {manifest: layerOf("sha256:"+hex, 11),
			setup: func(dir string) error { return os.Symlink(secret, filepath.Join(dir, "blobs", "sha256-"+hex)) }},
		"huge":      {manifest: strings.Repeat(" ", 2<<20), want: ollamastore.ErrDamaged},
		"no layers": {manifest: `{}`, want: ollamastore.ErrNoWeights},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "h/library/good/latest", llama, layer{"model", "GGUF"})
			write(t, filepath.Join(dir, "manifests/h/library/bad/latest"), tc.manifest)
			if tc.setup != nil {
				if err := tc.setup(dir); err != nil {
					t.Skip(err)
				}
			}
			s := open(t, dir)
			m, err := s.Get("bad")
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || m.Weights != "" {
				t.Errorf("model %+v, error %v, want %v", m, err, tc.want)
			}
			if list, _ := s.List(); len(list) == 0 || list[len(list)-1].Name != "good:latest" {
				t.Errorf("list %+v, want the good one still", list)
			}
		})
	}
}

// TestStore_listNamesWhatIsNotWhole lacks a file that a manifest names.
func TestStore_listNamesWhatIsNotWhole(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "h/library/good/latest", llama, layer{"model", "GGUF"})
	write(t, filepath.Join(dir, "manifests/h/library/bad/latest"), `{"config":{"digest":"sha256:`+strings.Repeat("a", 64)+`","size":2},"layers":[]}`)
	list, err := open(t, dir).List()
	if len(list) != 1 || list[0].Name != "good:latest" || err == nil || !strings.Contains(err.Error(), "bad:latest") {
		t.Errorf("list %+v, error %v, want the good one and what is wrong with the bad one", list, err)
	}
}

func TestStore_strayFiles(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "h/library/good/latest", llama, layer{"model", "GGUF"})
	for _, stray := range []string{"h/.DS_Store", "h/library/good/.tmp", "h/library/file", "h/library/good/deep/er/x", "h/library/sp ace/latest"} {
		write(t, filepath.Join(dir, "manifests", stray), "x")
	}
	if list, err := open(t, dir).List(); err != nil || len(list) != 1 {
		t.Errorf("list %+v, error %v, want the good one alone", list, err)
	}
}

func TestDirs(t *testing.T) {
	env := func(v string) func(string) (string, bool) {
		return func(name string) (string, bool) { return v, name == "OLLAMA_MODELS" && v != "" }
	}
	if got := ollamastore.Dirs(env("/x"), "/home/u"); len(got) != 1 || got[0] != "/x" {
		t.Errorf("dirs %q, want the named one alone", got)
	}
	if got := ollamastore.Dirs(env(""), "/home/u"); len(got) != 2 || got[0] != filepath.Join("/home/u", ".ollama", "models") {
		t.Errorf("dirs %q, want the user's first", got)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(`{"config":{"digest":"sha256:` + strings.Repeat("0", 64) + `"},"layers":[]}`)
	f.Add(`{"layers":[{"mediaType":"` + media + `model","digest":"../x","size":1}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "manifests/h/library/x/latest"), text)
		s := open(t, dir)
		if m, err := s.Get("x"); err == nil || m.Weights != "" {
			t.Errorf("model %+v out of an empty store", m)
		}
		_, _ = s.List()
	})
}
