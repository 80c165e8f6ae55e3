package clean

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Manifest names a Selection by its content, and says where it comes from. Its
// JSON names are stable.
type Manifest struct {
	Digest     string         `json:"digest"` // "sha256:<hex>"; see Verify
	Parameters Parameters     `json:"parameters"`
	HeldOut    string         `json:"held_out"`           // digest of what was held out, "" if nothing was
	Embedder   string         `json:"embedder,omitempty"` // ID of the model that placed the questions
	Included   []string       `json:"included,omitempty"` // IDs that the owner vouched for
	Examples   []string       `json:"examples"`           // IDs, in order
	Excluded   map[Reason]int `json:"excluded"`
	Lineage    Lineage        `json:"lineage"`
}

// Lineage counts the examples by where they come from.
type Lineage struct {
	Sources  map[string]int `json:"sources"`  // kind and file or models
	Teachers map[string]int `json:"teachers"` // by model
	Terms    map[string]int `json:"terms"`    // "unknown" where an example has none
	Tasks    map[string]int `json:"tasks"`
}

func newManifest(s Selection, opts Options) Manifest {
	m := Manifest{Parameters: opts.Parameters, HeldOut: heldOutDigest(opts.HeldOut), Examples: []string{}, Excluded: map[Reason]int{},
		Lineage: Lineage{Sources: map[string]int{}, Teachers: map[string]int{}, Terms: map[string]int{}, Tasks: map[string]int{}}}
	if opts.Embedder != nil && opts.Budget > 0 {
		m.Embedder = opts.Embedder.ID()
	}
	for id, yes := range opts.Include {
		if yes {
			m.Included = append(m.Included, id)
		}
	}
	slices.Sort(m.Included)
	for _, ex := range s.Kept {
		m.Examples = append(m.Examples, ex.ID)
		m.Lineage.Sources[sourceOf(ex)]++
		m.Lineage.Tasks[ex.TaskType]++
		for _, id := range ex.Source.Models {
			m.Lineage.Teachers[id]++
		}
		terms := ex.Source.Terms
		if terms == "" {
			terms = "unknown"
		}
		m.Lineage.Terms[terms]++
	}
	for _, e := range s.Excluded {
		m.Excluded[e.Reason]++
	}
	m.Digest = m.digest()
	return m
}

// Verify reports whether the digest is the one of the content: of the parameters,
// what was held out, the embedder, the IDs that were vouched for, and the examples
// in their order. What they say is in their IDs.
func (m Manifest) Verify() bool { return m.Digest == m.digest() }

func (m Manifest) digest() string {
	content, err := json.Marshal(struct {
		Domain     string
		Parameters Parameters
		HeldOut    string
		Embedder   string
		Included   []string
		Examples   []string
	}{"retort selection v1", m.Parameters, m.HeldOut, m.Embedder, m.Included, m.Examples})
	if err != nil { // no finite number can cause it, and Check lets no other through
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}

func heldOutDigest(items []HeldOut) string {
	if len(items) == 0 {
		return ""
	}
	lines := make([]string, len(items))
	for i, it := range items {
		line, _ := json.Marshal([]string{it.Question, it.Answer}) // strings: it cannot fail
		lines[i] = string(line)
	}
	slices.Sort(lines)
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(strings.Join(lines, "\n"))))
}
