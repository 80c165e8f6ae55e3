// Package ollamastore reads the folder in which an Ollama server keeps what it
// has pulled and created. No server is needed, and nothing is ever written.
//
// Call [Dirs] for where such a folder may be, then [Open], [Store.List] and
// [Store.Get]. A [Model] names the files that an engine can run in place.
// [ShapeOf] turns the chat template of one side into that of the other.
//
// A store is a folder manifests/HOST/NAMESPACE/MODEL/TAG of small JSON files and
// a folder blobs of files that are named by their SHA-256. Nothing outside of
// them is read, whatever the manifests say.
package ollamastore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Errors that callers must tell apart.
var (
	ErrNotFound  = errors.New("no such model in the store of Ollama")
	ErrAmbiguous = errors.New("several models have that name")
	ErrDamaged   = errors.New("the store of Ollama is damaged")
	ErrNoWeights = errors.New("has no weights on this machine") // a model of Ollama's cloud, or of a format other than GGUF
)

// Dirs returns the folders that a server on this system may keep its models in,
// most likely first: the one that OLLAMA_MODELS names and no other, or else the
// user's and that of the system service.
func Dirs(getenv func(string) (string, bool), home string) []string {
	if dir, ok := getenv("OLLAMA_MODELS"); ok && dir != "" {
		return []string{dir}
	}
	return []string{filepath.Join(home, ".ollama", "models"), "/usr/share/ollama/.ollama/models"}
}

// Store is a folder of models. It is safe for concurrent use, also while a
// server writes to it.
type Store struct {
	root *os.Root
	dir  string
}

// Open opens the store in dir; fs.ErrNotExist if there is none. The caller
// closes it.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store of Ollama: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open store of Ollama: %w", err)
	}
	if _, err := root.Stat("manifests"); err != nil {
		return nil, errors.Join(fmt.Errorf("open store of Ollama %q: %w", dir, err), root.Close())
	}
	return &Store{root: root, dir: dir}, nil
}

// Close releases the folder.
func (s *Store) Close() error { return s.root.Close() }

// Dir returns the folder.
func (s *Store) Dir() string { return s.dir }

// Info describes a model of the store.
type Info struct {
	Name         string // "qwen3:8b"; with as much of namespace and host before it as makes it unique
	Digest       string // "sha256:<hex>" of the weights; empty if there are none on this machine
	Size         int64  // bytes of the weights
	Family       string // "llama"; the architecture of the weights
	Quantization string // "Q4_1"
	Parameters   string // "134.52M"
	Adapters     int    // how many LoRA adapters go over the weights
	Modified     time.Time

	full ref
}

// List returns the models ordered by name. When the manifest of one is damaged
// it returns the others together with an error that names it.
func (s *Store) List() ([]Info, error) {
	refs, err := s.refs()
	if err != nil {
		return nil, err
	}
	var list []Info
	var faults []error
	for _, r := range refs {
		info, err := s.info(r, refs)
		if errors.Is(err, fs.ErrNotExist) && s.has(r) { // the server may have put another in its place
			info, err = s.info(r, refs)
		}
		switch {
		case err == nil:
			list = append(list, info)
		case s.has(r): // else it was removed meanwhile
			faults = append(faults, err)
		}
	}
	slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.Name, b.Name) })
	return list, errors.Join(faults...)
}

// has reports whether the manifest of r is there.
func (s *Store) has(r ref) bool {
	_, err := s.root.Stat(r.path())
	return !errors.Is(err, fs.ErrNotExist)
}

func (s *Store) info(r ref, all []ref) (Info, error) {
	m, err := s.manifest(r)
	if err != nil {
		return Info{}, err
	}
	info := Info{Name: r.short(all), Modified: m.modified, full: r}
	for _, l := range m.Layers {
		switch l.MediaType {
		case typeModel:
			info.Digest, info.Size = l.Digest, l.Size
		case typeAdapter:
			info.Adapters++
		}
	}
	c, err := s.config(m)
	if err != nil {
		return Info{}, fmt.Errorf("model %q: %w", info.Name, err)
	}
	info.Family, info.Quantization, info.Parameters = c.Family, c.FileType, c.ModelType
	return info, nil
}

// find returns the one model that name may mean.
func (s *Store) find(name string) (ref, error) {
	refs, err := s.refs()
	if err != nil {
		return ref{}, err
	}
	var found []ref
	for _, r := range refs {
		if r.matches(name) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 0:
		return ref{}, fmt.Errorf("model %q: %w %q", name, ErrNotFound, s.dir)
	case 1:
		return found[0], nil
	}
	var names []string
	for _, r := range found {
		names = append(names, r.short(refs))
	}
	return ref{}, fmt.Errorf("model %q: %w: %s", name, ErrAmbiguous, strings.Join(names, ", "))
}

// ref is the place of a manifest: host, namespace, model and tag.
type ref [4]string

// library is the namespace that a name leaves out.
const library = "library"

func (r ref) path() string { return path.Join("manifests", r[0], r[1], r[2], r[3]) }

// suffixes are the names that mean r, shortest first.
func (r ref) suffixes() []string {
	base := r[2] + ":" + r[3]
	out := []string{r[1] + "/" + base, r[0] + "/" + r[1] + "/" + base}
	if r[1] == library {
		out = slices.Insert(out, 0, base)
	}
	return out
}

func (r ref) matches(name string) bool {
	if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		name += ":latest"
	}
	return slices.ContainsFunc(r.suffixes(), func(s string) bool { return strings.EqualFold(s, name) })
}

// short is the shortest name that means r and none other of all.
func (r ref) short(all []ref) string {
	for _, s := range r.suffixes() {
		n := 0
		for _, other := range all {
			if other.matches(s) {
				n++
			}
		}
		if n == 1 {
			return s
		}
	}
	return strings.Join(r[:3], "/") + ":" + r[3]
}

// refs walks the manifests. Names that no server gives are passed over.
func (s *Store) refs() ([]ref, error) {
	var out []ref
	err := fs.WalkDir(s.root.FS(), "manifests", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			return err
		}
		parts := strings.Split(p, "/")[1:]
		if len(parts) > 0 && !validPart(parts[len(parts)-1]) || len(parts) > 4 {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if len(parts) == 4 && d.Type().IsRegular() {
			out = append(out, ref(parts))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list store of Ollama %q: %w", s.dir, err)
	}
	return out, nil
}
