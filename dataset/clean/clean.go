package clean

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"retort/dataset"
	"retort/llm"
)

// Options say what is wanted. The zero value leaves out secrets, personal data,
// refusals, empty and duplicate examples, and caps nothing.
type Options struct {
	Parameters

	HeldOut  []HeldOut       // what the result will be tested with
	Include  map[string]bool // IDs that the owner has looked at and vouches for
	Embedder llm.Embedder    // places questions for the choice under a budget; nil: their words do

	// Allowed says why the terms of an example's teachers forbid to train on it; ""
	// if they do not. Nil allows what is not marked "restricted". Several goroutines
	// call it.
	Allowed func(dataset.Example) (why string)

	// SelfGenerated reports whether the owner's own trained models gave the
	// response, and Replay whether an earlier training had the example. Nil: none.
	SelfGenerated func(dataset.Example) bool
	Replay        func(dataset.Example) bool
}

// Parameters are the options that are plain values: they are part of the
// Manifest.
type Parameters struct {
	Near             float64  `json:"near"`                         // Jaccard similarity of near duplicates; 0 means 0.8
	MaxChars         int      `json:"max_chars"`                    // letters of a response; 0 means 32,000
	Languages        []string `json:"languages,omitempty"`          // ISO 639-1; none means any
	MaxPerSource     int      `json:"max_per_source,omitempty"`     // 0 is no cap
	MaxSelfGenerated *float64 `json:"max_self_generated,omitempty"` // share of the whole, 0 to 1; nil is no cap
	Budget           int      `json:"budget,omitempty"`             // examples; 0 is no bound
	ReplayShare      float64  `json:"replay_share,omitempty"`       // of the budget, for what was trained on before
}

func (p Parameters) orDefault() Parameters {
	p.Near = cmp.Or(p.Near, 0.8)
	p.MaxChars = cmp.Or(p.MaxChars, 32000)
	return p
}

// Check returns an error for a value that cannot be meant.
func (p Parameters) Check() error {
	for _, l := range p.Languages {
		if !slices.Contains(Languages(), l) {
			return fmt.Errorf("unknown language %q (known: %s)", l, strings.Join(Languages(), ", "))
		}
	}
	switch {
	case p.Near != 0 && !(p.Near >= 0.5 && p.Near <= 1): // below, the index would miss too many
		return fmt.Errorf("similarity of near duplicates is %g, want 0.5 to 1", p.Near)
	case p.MaxSelfGenerated != nil && !(*p.MaxSelfGenerated >= 0 && *p.MaxSelfGenerated <= 1):
		return fmt.Errorf("share of self-generated examples is %g, want 0 to 1", *p.MaxSelfGenerated)
	case !(p.ReplayShare >= 0 && p.ReplayShare <= 1):
		return fmt.Errorf("share of replayed examples is %g, want 0 to 1", p.ReplayShare)
	case p.Budget < 0 || p.MaxPerSource < 0 || p.MaxChars < 0:
		return fmt.Errorf("a budget, cap or length is below 0")
	}
	return nil
}

// Selection is what may be learnt from, and why the rest may not.
type Selection struct {
	Kept     []dataset.Example // best first; under a budget, in the order they were chosen
	Excluded []Exclusion       // ordered by reason, then by ID
	Manifest Manifest
}

// Exclusion says why one example was left out.
type Exclusion struct {
	ID     string `json:"id"`
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`       // one line for people; never the secret itself
	Of     string `json:"of,omitempty"` // the example or held-out item that it repeats
}

// Reason is a kind of Exclusion.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	Terms          Reason = "terms"
	Secret         Reason = "secret"
	PersonalData   Reason = "personal_data"
	Empty          Reason = "empty"
	TooLong        Reason = "too_long"
	OtherLanguage  Reason = "language"
	Refusal        Reason = "refusal"
	Contaminated   Reason = "held_out"
	ExactDuplicate Reason = "exact_duplicate"
	NearDuplicate  Reason = "near_duplicate"
	SourceCap      Reason = "source_cap"
	SelfCap        Reason = "self_generated_cap"
	OverBudget     Reason = "over_budget"
)

// Reasons returns all reasons in their order.
func Reasons() []Reason {
	return []Reason{Terms, Secret, PersonalData, Empty, TooLong, OtherLanguage, Refusal, Contaminated,
		ExactDuplicate, NearDuplicate, SourceCap, SelfCap, OverBudget}
}

// Quarantined reports whether the owner should look at what was excluded for r:
// it may have to be deleted, and not only left out.
func (r Reason) Quarantined() bool { return r == Secret || r == PersonalData }

// selector is one Select.
type selector struct {
	opts       Options
	quarantine *Quarantine
	heldOut    *heldOutIndex
	excluded   []Exclusion
}

// Select decides which of examples to learn from. An example with IDs in
// Options.Include is left out only for its teacher's terms, for what is held out,
// as an exact duplicate, and by caps and budget. Examples of the held-out side
// must not be among them.
func Select(ctx context.Context, examples []dataset.Example, opts Options) (Selection, error) {
	opts.Parameters = opts.Parameters.orDefault()
	if err := opts.Check(); err != nil {
		return Selection{}, fmt.Errorf("select examples: %w", err)
	}
	quarantine, err := NewQuarantine()
	if err != nil {
		return Selection{}, fmt.Errorf("select examples: %w", err)
	}
	kept := slices.Clone(examples)
	slices.SortStableFunc(kept, better)
	s := &selector{opts: opts, quarantine: quarantine, heldOut: newHeldOutIndex(opts.HeldOut, kept)}
	if kept, err = s.filter(ctx, kept); err != nil {
		return Selection{}, fmt.Errorf("select examples: %w", err)
	}
	kept = s.capSelf(s.capSources(s.deduplicate(kept)))
	if kept, err = s.spend(ctx, kept); err != nil {
		return Selection{}, fmt.Errorf("select examples: %w", err)
	}
	order := map[Reason]int{}
	for i, r := range Reasons() {
		order[r] = i
	}
	slices.SortFunc(s.excluded, func(a, b Exclusion) int {
		return cmp.Or(cmp.Compare(order[a.Reason], order[b.Reason]), cmp.Compare(a.ID, b.ID))
	})
	out := Selection{Kept: kept, Excluded: s.excluded}
	out.Manifest = newManifest(out, opts)
	return out, nil
}

// better orders examples by what is kept of several: the owner's rating, then
// quality, then the older one.
func better(a, b dataset.Example) int {
	return cmp.Or(cmp.Compare(b.UserFeedback, a.UserFeedback), cmp.Compare(b.QualityScore, a.QualityScore),
		a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// exclude notes why ex is left out. It returns true, for slices.DeleteFunc.
func (s *selector) exclude(ex dataset.Example, r Reason, detail, of string) bool {
	s.excluded = append(s.excluded, Exclusion{ID: ex.ID, Reason: r, Detail: detail, Of: of})
	return true
}
