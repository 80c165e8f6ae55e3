package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"retort/ensemble"
	"retort/internal/config"
	"retort/llm"
	"retort/llm/wrap"
	"retort/models"
	"retort/remote"
	"retort/remote/anthropic"
	"retort/remote/google"
	"retort/remote/openai"
)

var (
	errKeyMissing = errors.New("no key")
	errNotEnabled = errors.New("provider is not enabled")
	errOffline    = errors.New("offline")
)

// remotes are the remote models that were opened, and what those of one provider
// share. The zero value is ready.
type remotes struct {
	opened map[string]llm.Model
	shared map[string]*providerShare

	// retryIf limits what is asked again of models opened from now on; see
	// wrap.RetryOptions.
	retryIf func(error) bool

	// payOnce forbids hedging of models opened from now on: what was reserved for a
	// question is for one request.
	payOnce bool
}

type providerShare struct {
	limiter *wrap.Limiter
	budget  wrap.Budget
}

// offersOf is the table of remote models with the owner's entries.
func offersOf(cfg *config.Config) (models.Offers, error) {
	o, err := models.Remote().With(cfg.Section(config.Providers), cfg.Section(config.Models))
	if err != nil {
		return o, fmt.Errorf("%w: config.yaml: %v", config.ErrInvalid, err)
	}
	return o, nil
}

// offers is offersOf for this run's settings, found out once.
func (r *retort) offers() (models.Offers, error) {
	r.offered.once.Do(func() { r.offered.offers, r.offered.err = offersOf(r.cfg) })
	return r.offered.offers, r.offered.err
}

// mayAsk says why a provider may not be asked: nothing leaves this machine unless
// the owner enabled the provider, gave the key that it wants, and is not offline.
func (r *retort) mayAsk(p models.Provider) error {
	key, _ := r.cfg.Secret(p.KeyEnv)
	switch {
	case !p.Enabled:
		return withHint(fmt.Errorf("%s: %w", p.Name, errNotEnabled),
			fmt.Sprintf("put `providers: {%s: {enabled: true}}` into config.yaml in %s", p.Name, r.path()))
	case r.cfg.Bool("offline") && !remote.IsLocal(p.BaseURL):
		return withHint(fmt.Errorf("%s: %w", p.Name, errOffline), "--offline and RETORT_OFFLINE forbid remote models")
	case p.KeyEnv != "" && key == "":
		where := "the environment or .env"
		if r.cfg.Value("home").Origin == ".env" {
			where = ".env, which names the home: keys of the environment do not count then"
		}
		return withHint(fmt.Errorf("%s: %w", p.Name, errKeyMissing), "put "+p.KeyEnv+" into "+where)
	}
	return nil
}

// remoteModel opens the remote model that id means; ok is false if it means none.
func (r *retort) remoteModel(id string) (m llm.Model, ok bool, err error) {
	offers, err := r.offers()
	if err != nil {
		return nil, true, err
	}
	offer, provider, ok := offers.Find(id)
	if !ok {
		return nil, false, nil
	}
	if m, opened := r.remotes.opened[id]; opened {
		return m, true, nil
	}
	if m, err = r.dial(offer, provider); err != nil {
		return nil, true, err
	}
	m = r.remotes.wrapped(m, offer, provider)
	if r.remotes.opened == nil {
		r.remotes.opened = map[string]llm.Model{}
	}
	r.remotes.opened[id] = m
	return m, true, nil
}

// dial returns the bare model, whose provider it may ask.
func (r *retort) dial(o models.Offer, p models.Provider) (llm.Model, error) {
	if err := r.mayAsk(p); err != nil {
		return nil, err
	}
	opts := remote.Options{ID: o.ID, BaseURL: p.BaseURL, Model: o.ModelID,
		ContextSize: o.ContextSize, MaxOutput: o.MaxOutput, Images: o.Vision, Thinks: o.Thinks}
	if key, _ := r.cfg.Secret(p.KeyEnv); key != "" {
		opts.Key = remote.NewSecret(key)
	}
	var (
		m   llm.Model
		err error
	)
	switch p.API {
	case models.APIAnthropic:
		m, err = anthropic.New(opts)
	case models.APIGoogle:
		m, err = google.New(opts)
	default:
		m, err = openai.New(openai.Options{Options: opts, Dialect: p.Dialect})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %v", config.ErrInvalid, err)
	}
	return m, nil
}

// wrapped puts the layers around m that every remote model has.
func (s *remotes) wrapped(m llm.Model, o models.Offer, p models.Provider) llm.Model {
	share := s.shared[p.Name]
	if share == nil {
		share = &providerShare{limiter: wrap.NewLimiter(p.Requests, p.Tokens)}
		if s.shared == nil {
			s.shared = map[string]*providerShare{}
		}
		s.shared[p.Name] = share
	}
	first := 2 * time.Minute
	if o.Thinks { // before it says anything
		first = 10 * time.Minute
	}
	m = wrap.Timeout(m, wrap.Timeouts{First: first, Between: time.Minute, Total: 15 * time.Minute})
	m = wrap.Breaker(wrap.Limit(m, share.limiter), wrap.BreakerOptions{})
	if !s.payOnce {
		m = wrap.Hedge(m, time.Duration(p.HedgeAfter*float64(time.Second)), &share.budget)
	}
	return wrap.Price(wrap.Retry(m, wrap.RetryOptions{Budget: &share.budget, If: s.retryIf}), ratesOf(o, p))
}

// ratesOf is what o costs: nothing on this machine, unless the owner says so; nil if
// not known.
func ratesOf(o models.Offer, p models.Provider) *wrap.Rates {
	switch {
	case o.InputCost == nil && remote.IsLocal(p.BaseURL):
		return &wrap.Rates{}
	case o.InputCost == nil:
		return nil
	}
	rates := wrap.Rates{Input: *o.InputCost, Output: *o.OutputCost}
	if o.CachedCost != nil {
		rates.Cached = *o.CachedCost
	}
	return &rates
}

// rankedRemote returns the enabled models of the providers that may be asked, with
// the table's scores.
func (r *retort) rankedRemote(taskType string) ([]rankedModel, error) {
	offers, err := r.offers()
	if err != nil {
		return nil, err
	}
	var out []rankedModel
	for _, m := range offers.Models {
		p, _ := offers.Provider(m.Provider)
		if !m.Enabled || r.mayAsk(p) != nil {
			continue
		}
		quality := m.QualityScore
		if slices.Contains(m.Specialization, taskType) {
			quality = min(10, quality+0.5)
		}
		ranked := rankedModel{id: m.ID, quality: quality}
		if rates := ratesOf(m, p); rates != nil {
			ranked.price = &ensemble.Price{InputPer1K: rates.Input, OutputPer1K: rates.Output}
		}
		out = append(out, ranked)
	}
	return out, nil
}

// remoteTerms is the terms class of a remote model's answers; ok is false if id is
// none. What the owner allows to train on counts as open.
func (r *retort) remoteTerms(id string) (terms string, ok bool) {
	offers, err := r.offers()
	if err != nil {
		return models.TermsRestricted, true
	}
	m, p, ok := offers.Find(id)
	if ok && p.AllowTraining {
		return models.TermsOpen, true
	}
	return m.Terms, ok
}
