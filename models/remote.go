package models

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// ErrInvalidOffer: the owner's table of providers or models cannot stand as it is.
var ErrInvalidOffer = errors.New("invalid entry")

// Wire formats that a Provider may speak.
const (
	APIOpenAI    = "openai"
	APIAnthropic = "anthropic"
	APIGoogle    = "google"
)

// Provider is a service that answers over the network. None is asked unless the
// owner enabled it.
type Provider struct {
	Name          string  `yaml:"-" json:"provider"`
	Title         string  `yaml:"title" json:"title"`
	Enabled       bool    `yaml:"enabled" json:"enabled"`
	API           string  `yaml:"api" json:"api"`                                           // APIOpenAI, APIAnthropic or APIGoogle
	BaseURL       string  `yaml:"base_url" json:"base_url"`                                 // empty: the API's own
	Dialect       string  `yaml:"dialect" json:"dialect,omitempty"`                         // of APIOpenAI; empty: by the host
	KeyEnv        string  `yaml:"key_env" json:"key_env,omitempty"`                         // environment variable with the key; empty: it wants none
	Terms         string  `yaml:"terms" json:"terms"`                                       // TermsOpen or TermsRestricted
	TermsNote     string  `yaml:"terms_note" json:"terms_note,omitempty"`                   // what restricts them
	AllowTraining bool    `yaml:"allow_training" json:"allow_training"`                     // the owner has read the terms and may train on its answers
	Requests      int     `yaml:"requests_per_minute" json:"requests_per_minute"`           // 0: no bound
	Tokens        int     `yaml:"tokens_per_minute" json:"tokens_per_minute"`               // 0: no bound
	HedgeAfter    float64 `yaml:"hedge_after_seconds" json:"hedge_after_seconds,omitempty"` // ask twice where nothing comes for so long; 0: never
	CheckModel    string  `yaml:"check_model" json:"check_model,omitempty"`                 // a cheap one, for a trial call
	Origin        string  `yaml:"-" json:"origin"`                                          // "catalogue" or "config.yaml"
}

// Offer is a model of a Provider. Costs are dollars per 1,000 tokens; nil where no
// price was found.
type Offer struct {
	ID             string   `yaml:"-" json:"id"` // "openai/gpt-4o"
	Name           string   `yaml:"name" json:"name"`
	Provider       string   `yaml:"-" json:"provider"`
	ModelID        string   `yaml:"model_id" json:"model_id"` // what the provider calls it
	InputCost      *float64 `yaml:"input_cost_per_1k" json:"input_cost_per_1k"`
	CachedCost     *float64 `yaml:"cached_cost_per_1k" json:"cached_cost_per_1k,omitempty"` // of input read before; nil: as InputCost
	OutputCost     *float64 `yaml:"output_cost_per_1k" json:"output_cost_per_1k"`
	AsOf           string   `yaml:"as_of" json:"as_of,omitempty"` // when the price was published, YYYY-MM-DD
	SpeedScore     float64  `yaml:"speed_score" json:"speed_score"`
	QualityScore   float64  `yaml:"quality_score" json:"quality_score"`
	Specialization []string `yaml:"specialization" json:"specialization"` // task types it is good at
	Enabled        bool     `yaml:"enabled" json:"enabled"`
	ContextSize    int      `yaml:"context_size" json:"context_size"` // tokens; 0 if not known
	MaxOutput      int      `yaml:"max_output" json:"max_output,omitempty"`
	Vision         bool     `yaml:"vision" json:"vision"`
	Thinks         bool     `yaml:"thinks" json:"thinks,omitempty"` // it takes no temperature, top_p or top_k
	Terms          string   `yaml:"terms" json:"terms"`             // empty: the provider's
	Note           string   `yaml:"note" json:"note,omitempty"`
	Origin         string   `yaml:"-" json:"origin"` // "catalogue" or "config.yaml"
}

// Offers is the table of remote providers and their models, ordered by name and ID.
type Offers struct {
	Providers []Provider
	Models    []Offer
}

//go:embed catalogue_remote.yaml
var remoteYAML []byte

var remoteCatalogue = sync.OnceValue(func() Offers {
	var raw struct{ Providers, Models map[string]any }
	if err := yaml.UnmarshalWithOptions(remoteYAML, &raw, yaml.Strict()); err != nil {
		panic(fmt.Sprintf("models: catalogue_remote.yaml: %v", err)) // part of the program
	}
	out, err := Offers{}.with(raw.Providers, raw.Models, "catalogue")
	if err != nil {
		panic(fmt.Sprintf("models: catalogue_remote.yaml: %v", err))
	}
	return out
})

// Remote returns the catalogue's table of providers and models.
func Remote() Offers { return remoteCatalogue() }

// With returns o with the owner's entries: those that it has are changed in the
// fields given, others are added, an ID's provider being what stands before the
// slash. The error wraps ErrInvalidOffer and names the entry.
func (o Offers) With(providers, models map[string]any) (Offers, error) {
	return o.with(providers, models, "config.yaml")
}

func (o Offers) with(providers, models map[string]any, origin string) (Offers, error) {
	out := Offers{slices.Clone(o.Providers), slices.Clone(o.Models)}
	for _, name := range slices.Sorted(maps.Keys(providers)) {
		p, known := out.Provider(name)
		if !known {
			p = Provider{Name: name, Title: name, API: APIOpenAI, Terms: TermsRestricted}
		}
		if err := decode(providers[name], &p); err != nil {
			return o, fmt.Errorf("%w: provider %q: %w", ErrInvalidOffer, name, err)
		}
		if err := p.check(); err != nil {
			return o, fmt.Errorf("%w: provider %q: %w", ErrInvalidOffer, name, err)
		}
		p.Origin = origin
		out.Providers = replace(out.Providers, p, func(p Provider) string { return p.Name })
	}
	for _, id := range slices.Sorted(maps.Keys(models)) {
		m, known := out.Model(id)
		if !known {
			m = out.blank(id)
		}
		if err := decode(models[id], &m); err != nil {
			return o, fmt.Errorf("%w: model %q: %w", ErrInvalidOffer, id, err)
		}
		if err := out.check(m); err != nil {
			return o, fmt.Errorf("%w: model %q: %w", ErrInvalidOffer, id, err)
		}
		if m.Terms == "" {
			p, _ := out.Provider(m.Provider)
			m.Terms = p.Terms
		}
		m.Origin = origin
		out.Models = replace(out.Models, m, func(m Offer) string { return m.ID })
	}
	return out, nil
}

// decode puts the fields of an entry over those that into has.
func decode(entry any, into any) error {
	raw, err := yaml.Marshal(entry)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalWithOptions(raw, into, yaml.Strict()); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return errors.New(first)
	}
	return nil
}

func replace[T any](list []T, v T, key func(T) string) []T {
	i, found := slices.BinarySearchFunc(list, key(v), func(e T, k string) int { return strings.Compare(key(e), k) })
	if found {
		list[i] = v
		return list
	}
	return slices.Insert(list, i, v)
}

// blank is what is known of a model that no table has.
func (o Offers) blank(id string) Offer {
	provider, model, _ := strings.Cut(id, "/")
	return Offer{ID: id, Name: model, Provider: provider, ModelID: model, QualityScore: 5, SpeedScore: 5, Enabled: true}
}

// Provider returns the provider of that name.
func (o Offers) Provider(name string) (Provider, bool) {
	i, found := slices.BinarySearchFunc(o.Providers, name, func(p Provider, n string) int { return strings.Compare(p.Name, n) })
	if !found {
		return Provider{}, false
	}
	return o.Providers[i], true
}

// Model returns the model of that ID.
func (o Offers) Model(id string) (Offer, bool) {
	i, found := slices.BinarySearchFunc(o.Models, id, func(m Offer, id string) int { return strings.Compare(m.ID, id) })
	if !found {
		return Offer{}, false
	}
	return o.Models[i], true
}

// Find returns the model that the user means by id: that of the ID, or any other
// of a provider that the table has, of which then nothing more is known.
func (o Offers) Find(id string) (Offer, Provider, bool) {
	name, model, _ := strings.Cut(id, "/")
	p, known := o.Provider(name)
	if !known || model == "" {
		return Offer{}, Provider{}, false
	}
	m, known := o.Model(id)
	if !known {
		m = o.blank(id)
		m.Terms, m.Origin = p.Terms, "not in a table"
	}
	return m, p, true
}

var providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (p Provider) check() error {
	switch {
	case !providerName.MatchString(p.Name) || p.Name == "llamacpp" || p.Name == "ollama":
		return errors.New("want a name of lower-case letters, digits and -, other than llamacpp and ollama")
	case !slices.Contains([]string{APIOpenAI, APIAnthropic, APIGoogle}, p.API):
		return fmt.Errorf("api is %q, want openai, anthropic or google", p.API)
	case p.Terms != TermsOpen && p.Terms != TermsRestricted:
		return fmt.Errorf("terms is %q, want open or restricted", p.Terms)
	case p.BaseURL == "" && p.API == APIOpenAI && p.Name != "openai":
		return errors.New("base_url is missing")
	case p.Requests < 0 || p.Tokens < 0:
		return errors.New("a rate is negative")
	case !(p.HedgeAfter >= 0 && p.HedgeAfter <= 3600):
		return fmt.Errorf("hedge_after_seconds is %v, want 0 to 3600", p.HedgeAfter)
	}
	return nil
}

func (o Offers) check(m Offer) error {
	if _, known := o.Provider(m.Provider); !known {
		return fmt.Errorf("no provider %q", m.Provider)
	}
	for name, cost := range map[string]*float64{"input": m.InputCost, "cached": m.CachedCost, "output": m.OutputCost} {
		if cost != nil && !(*cost >= 0 && *cost < 100) {
			return fmt.Errorf("%s_cost_per_1k is %v", name, *cost)
		}
	}
	switch {
	case m.ModelID == "":
		return errors.New("model_id is missing")
	case (m.InputCost == nil) != (m.OutputCost == nil):
		return errors.New("one cost is given without the other")
	case !(m.QualityScore >= 0 && m.QualityScore <= 10 && m.SpeedScore >= 0 && m.SpeedScore <= 10):
		return errors.New("a score is not from 0 to 10")
	case m.Terms != "" && m.Terms != TermsOpen && m.Terms != TermsRestricted:
		return fmt.Errorf("terms is %q, want open or restricted", m.Terms)
	case m.ContextSize < 0 || m.MaxOutput < 0:
		return errors.New("a size is negative")
	}
	return nil
}
