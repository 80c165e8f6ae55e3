package models

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"github.com/goccy/go-yaml"
)

// Terms classes of a model: what its licence means for answers that are kept
// and trained on.
const (
	TermsOpen       = "open"       // no condition on what is made from its answers
	TermsRestricted = "restricted" // has conditions, which the owner must read
)

// Entry is a model that setup can fetch.
type Entry struct {
	ID             string             `yaml:"id"`
	Name           string             `yaml:"name"`
	License        string             `yaml:"license"`      // SPDX id or name of the terms
	LicenseFile    string             `yaml:"license_file"` // path of its text in the first package
	Terms          string             `yaml:"terms"`        // TermsOpen or TermsRestricted
	Architecture   string             `yaml:"architecture"`
	Template       string             `yaml:"template"` // for ImportOptions; empty: the file has its own
	SHA256         string             `yaml:"sha256"`   // hex, of the joined GGUF
	Size           int64              `yaml:"size"`     // bytes of the joined GGUF
	QualityScore   float64            `yaml:"quality_score"`
	QualityByTask  map[string]float64 `yaml:"quality_by_task"` // measured; goes before QualityScore
	SpeedScore     float64            `yaml:"speed_score"`
	Specialization []string           `yaml:"specialization"` // task types it is good at
	Packages       []Package          `yaml:"packages"`       // in the order in which their parts join
}

// Quality is what e is held to be worth for a task type, from 0 to 10: as
// measured where it was, else a little more where the task is its speciality.
func (e Entry) Quality(taskType string) float64 {
	if q, ok := e.QualityByTask[taskType]; ok {
		return q
	}
	if slices.Contains(e.Specialization, taskType) {
		return min(10, e.QualityScore+0.5)
	}
	return e.QualityScore
}

// Package is a Python wheel that carries a part of a model.
type Package struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Member  string `yaml:"member"` // path of the part in the wheel; empty: it has none
	SHA256  string `yaml:"sha256"` // hex, of the wheel
}

//go:embed catalogue.yaml
var catalogueYAML []byte

// Catalogue returns the models that setup can fetch.
func Catalogue() []Entry { return slices.Clone(catalogue()) }

var catalogue = sync.OnceValue(func() []Entry {
	var entries []Entry
	if err := yaml.UnmarshalWithOptions(catalogueYAML, &entries, yaml.Strict()); err != nil {
		panic(fmt.Sprintf("models: catalogue.yaml: %v", err)) // part of the program
	}
	return entries
})
