package ollamastore

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// Model is what an engine needs to run a model of the store.
type Model struct {
	Info
	Weights   string   // path of the GGUF
	Adapters  []string // paths of LoRA adapters over it, as GGUF
	Projector string   // path of what turns images into tokens; empty if there is none
	Template  string   // chat template in Ollama's syntax; empty if there is none
	Renderer  string   // name of a template that is built into the server instead
	System    string   // system text for conversations that have none
	Stop      []string // texts that end every answer
	Ignored   []string // parts of the model that none of the above holds, in words
}

// Get returns the model of that name: "qwen3:8b", "qwen3" for its tag latest,
// with namespace and host where it has others than the usual. The error wraps
// ErrNotFound, ErrAmbiguous, ErrNoWeights or ErrDamaged.
func (s *Store) Get(name string) (Model, error) {
	r, err := s.find(name)
	if err != nil {
		return Model{}, err
	}
	m, err := s.load(r)
	if err != nil {
		return Model{}, fmt.Errorf("model %q of Ollama: %w", name, err)
	}
	return m, nil
}

func (s *Store) load(r ref) (Model, error) {
	manifest, err := s.manifest(r)
	if err != nil {
		return Model{}, err
	}
	c, err := s.config(manifest)
	if err != nil {
		return Model{}, err
	}
	refs, err := s.refs()
	if err != nil {
		return Model{}, err
	}
	m := Model{Renderer: c.Renderer}
	if m.Info, err = s.info(r, refs); err != nil {
		return Model{}, err
	}
	for _, l := range manifest.Layers {
		if err := s.add(&m, l); err != nil {
			return Model{}, err
		}
	}
	switch {
	case c.RemoteHost != "":
		return Model{}, fmt.Errorf("%w: Ollama forwards it to its cloud", ErrNoWeights)
	case m.Weights == "" || c.Format != "" && c.Format != "gguf":
		return Model{}, fmt.Errorf("%w that are a GGUF", ErrNoWeights)
	}
	return m, nil
}

// add puts one layer into m.
func (s *Store) add(m *Model, l layer) (err error) {
	switch l.MediaType {
	case typeModel:
		if m.Weights != "" {
			return fmt.Errorf("%w: two layers of weights", ErrDamaged)
		}
		m.Weights, err = s.file(l)
	case typeAdapter:
		var path string
		path, err = s.file(l)
		m.Adapters = append(m.Adapters, path)
	case typeProjector:
		m.Projector, err = s.file(l)
	case typeTemplate:
		m.Template, err = s.text(l)
	case typeSystem:
		m.System, err = s.text(l)
	case typeParams:
		err = s.parameters(m, l)
	case typeMessages:
		m.Ignored = append(m.Ignored, "messages that open every conversation")
	case typeLicense:
	default:
		m.Ignored = append(m.Ignored, fmt.Sprintf("a layer of type %.80q", l.MediaType))
	}
	return err
}

// parameters takes the stop texts. The sampling parameters beside them are
// defaults, which here are the caller's matter.
func (s *Store) parameters(m *Model, l layer) error {
	text, err := s.text(l)
	if err != nil {
		return err
	}
	var p struct {
		Stop stringList `json:"stop"`
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return fmt.Errorf("parameters: %w: %w", ErrDamaged, err)
	}
	for _, stop := range p.Stop {
		if stop != "" {
			m.Stop = append(m.Stop, stop)
		}
	}
	return nil
}

// stringList is one text or a list of them.
type stringList []string

func (l *stringList) UnmarshalJSON(data []byte) error {
	if strings.HasPrefix(string(data), `"`) {
		*l = make(stringList, 1)
		return json.Unmarshal(data, &(*l)[0])
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// file returns the path of a layer's file, which must be whole.
func (s *Store) file(l layer) (string, error) {
	info, err := s.root.Stat(blob(l))
	if err != nil {
		return "", fmt.Errorf("layer %s: %w", l.Digest[:19], err)
	}
	if !info.Mode().IsRegular() || info.Size() != l.Size {
		return "", fmt.Errorf("layer %s: %w: %d bytes instead of %d", l.Digest[:19], ErrDamaged, info.Size(), l.Size)
	}
	return filepath.Join(s.dir, filepath.FromSlash(blob(l))), nil
}
