package ollamastore

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"
)

// Media types of the layers that matter here.
const (
	typeModel     = "application/vnd.ollama.image.model"
	typeAdapter   = "application/vnd.ollama.image.adapter"
	typeProjector = "application/vnd.ollama.image.projector"
	typeTemplate  = "application/vnd.ollama.image.template"
	typeSystem    = "application/vnd.ollama.image.system"
	typeParams    = "application/vnd.ollama.image.params"
	typeMessages  = "application/vnd.ollama.image.messages"
	typeLicense   = "application/vnd.ollama.image.license"
)

// Limits of what is read into memory, in bytes: far above what servers write.
const (
	maxManifest = 1 << 20
	maxText     = 256 << 10
)

type manifest struct {
	Config layer   `json:"config"`
	Layers []layer `json:"layers"`

	modified time.Time
}

type layer struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// config is the part of a model's configuration that matters here.
type config struct {
	Format     string `json:"model_format"`
	Family     string `json:"model_family"`
	ModelType  string `json:"model_type"`
	FileType   string `json:"file_type"`
	Renderer   string `json:"renderer"` // a template that is part of the server
	RemoteHost string `json:"remote_host"`
}

var (
	digestGrammar = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	partGrammar   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$`)
)

func validPart(s string) bool { return partGrammar.MatchString(s) }

func (s *Store) manifest(r ref) (manifest, error) {
	data, modified, err := s.read(r.path(), maxManifest)
	if err != nil {
		return manifest{}, fmt.Errorf("manifest of %q: %w", r.suffixes()[0], err)
	}
	m, err := parseManifest(data)
	if err != nil {
		return manifest{}, fmt.Errorf("manifest of %q: %w", r.suffixes()[0], err)
	}
	m.modified = modified
	return m, nil
}

// parseManifest refuses what could lead out of the store or is no manifest.
func parseManifest(data []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	all := m.Layers
	if m.Config.Digest != "" { // else a manifest without a configuration
		all = append(all, m.Config)
	}
	for _, l := range all {
		if !digestGrammar.MatchString(l.Digest) || l.Size < 0 {
			return manifest{}, fmt.Errorf("%w: layer with digest %.80q of %d bytes", ErrDamaged, l.Digest, l.Size)
		}
	}
	return m, nil
}

func (s *Store) config(m manifest) (config, error) {
	var c config
	if m.Config.Digest == "" {
		return c, nil
	}
	data, err := s.text(m.Config)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(data), &c); err != nil {
		return c, fmt.Errorf("configuration: %w: %w", ErrDamaged, err)
	}
	return c, nil
}

// blob is the place of a layer's file in the store; its digest was checked.
func blob(l layer) string {
	return path.Join("blobs", strings.Replace(l.Digest, ":", "-", 1))
}

// text returns the content of a small layer.
func (s *Store) text(l layer) (string, error) {
	data, _, err := s.read(blob(l), maxText)
	if err != nil {
		return "", fmt.Errorf("layer %s: %w", l.Digest[:19], err)
	}
	if int64(len(data)) != l.Size {
		return "", fmt.Errorf("layer %s: %w: %d bytes instead of %d", l.Digest[:19], ErrDamaged, len(data), l.Size)
	}
	return string(data), nil
}

// read returns the content of a small file.
func (s *Store) read(name string, most int64) ([]byte, time.Time, error) {
	f, err := s.root.Open(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, time.Time{}, fmt.Errorf("%w: %q is no file of at most %d bytes", ErrDamaged, name, most)
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	return data, info.ModTime(), err
}
