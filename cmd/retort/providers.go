package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"retort/llm"
	"retort/llm/wrap"
	"retort/models"
)

// providerView is what a trial of a provider found.
type providerView struct {
	models.Provider
	State     string  `json:"state"` // "ok", "failed", "not enabled", "no key" or "offline"
	Key       string  `json:"key"`   // where the key was found
	Model     string  `json:"model,omitempty"`
	LatencyMS int64   `json:"latency_ms,omitempty"`
	Tokens    int     `json:"tokens,omitempty"`
	CostUSD   float64 `json:"cost_usd,omitempty"`
	Error     string  `json:"error,omitempty"`
	Hint      string  `json:"hint,omitempty"`
}

// runDoctorProviders makes one small call to each provider that may be asked.
func runDoctorProviders(ctx context.Context, r *retort) error {
	offers, err := r.offers()
	if err != nil {
		return err
	}
	views := make([]providerView, len(offers.Providers))
	var wg sync.WaitGroup
	for i, p := range offers.Providers {
		wg.Go(func() { views[i] = r.tryProvider(ctx, offers, p) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	var failed []string
	for _, v := range views {
		v.print(r)
		if v.State == "failed" || v.State == "no key" && v.Enabled {
			failed = append(failed, v.Name)
		}
	}
	if err := r.object(views); err != nil {
		return err
	}
	if len(failed) > 0 {
		return partial("%s: not usable", strings.Join(failed, ", "))
	}
	return nil
}

func (r *retort) tryProvider(ctx context.Context, offers models.Offers, p models.Provider) providerView {
	v := providerView{Provider: p}
	_, v.Key = r.cfg.Secret(p.KeyEnv)
	if err := r.mayAsk(p); err != nil {
		v.State = "not enabled"
		switch {
		case errors.Is(err, errKeyMissing):
			v.State = "no key"
		case errors.Is(err, errOffline):
			v.State = "offline"
		}
		v.Hint = hintOf(err)
		return v
	}
	v.State = "failed"
	offer, err := trialModel(offers, p)
	if err != nil {
		v.Error, v.Hint = oneLine(err), hintOf(err)
		return v
	}
	v.Model = offer.ModelID
	m, err := r.dial(offer, p)
	if err == nil {
		err = v.call(ctx, wrap.Price(m, ratesOf(offer, p)))
	}
	if err != nil {
		v.Error, v.Hint = oneLine(err), hintOf(err)
		return v
	}
	v.State = "ok"
	return v
}

// trialModel is the provider's cheap one, else its first enabled one.
func trialModel(offers models.Offers, p models.Provider) (models.Offer, error) {
	var first models.Offer
	for _, m := range offers.Models {
		switch {
		case m.Provider != p.Name:
		case m.ModelID == p.CheckModel:
			return m, nil
		case first.ID == "" && m.Enabled:
			first = m
		}
	}
	if p.CheckModel != "" {
		m, _, _ := offers.Find(p.Name + "/" + p.CheckModel)
		return m, nil
	}
	if first.ID == "" {
		return first, withHint(errors.New("no model to try"), fmt.Sprintf("give providers.%s.check_model in config.yaml", p.Name))
	}
	return first, nil
}

// call asks for a word.
func (v *providerView) call(ctx context.Context, m llm.Model) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	start := time.Now()
	resp, err := llm.Collect(ctx, m, llm.Request{Messages: []llm.Message{llm.User("Say OK.")}, Sampling: llm.Sampling{MaxOutputTokens: 16}})
	if err != nil {
		return err
	}
	v.LatencyMS, v.Tokens, v.CostUSD = time.Since(start).Milliseconds(), resp.Usage.InputTokens+resp.Usage.OutputTokens, resp.Usage.CostUSD
	return nil
}

func (v providerView) print(r *retort) {
	mark := map[string]string{"ok": "✅", "failed": "❌"}[v.State]
	if mark == "" {
		mark = "  "
	}
	r.printf("%s %-12s %-11s", mark, v.Name, v.State)
	switch v.State {
	case "ok":
		r.printf(" %s in %d ms, %d tokens, $%.6f", v.Model, v.LatencyMS, v.Tokens, v.CostUSD)
	case "failed":
		r.printf(" %s", v.Error)
	}
	r.printf("\n")
	if v.Hint != "" {
		r.printf("%27s%s\n", "fix: ", v.Hint)
	}
	if v.Enabled && v.TermsNote != "" && !v.AllowTraining {
		r.printf("%27s%s\n", "terms: ", v.TermsNote)
	}
}

// hintOf is what the user can do about err, or "".
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
