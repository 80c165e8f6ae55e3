package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"retort/ensemble/routing"
	"retort/models"
)

// offerView is one row of the table of all models, local and remote.
type offerView struct {
	models.Offer
	Usable      bool   `json:"usable"` // it would take part in an ensemble now
	Why         string `json:"why,omitempty"`
	QualityFrom string `json:"quality_from"` // one of the sources below
	SpeedFrom   string `json:"speed_from"`
}

// Where a score is from. Without a source it is not known, and 0.
const (
	fromCatalogue = "catalogue" // of this program or config.yaml
	fromGate      = "gate"      // held-out examples, when the model was trained
	fromRecord    = "record"    // earlier questions: who was right, and how fast
)

// allModels prints every model that could be asked: those of the registry, then
// those of the providers.
func (r *retort) allModels(ctx context.Context) error {
	views, err := r.localOffers(ctx)
	if err != nil {
		return err
	}
	offers, err := r.offers()
	if err != nil {
		return err
	}
	for _, m := range offers.Models {
		p, _ := offers.Provider(m.Provider)
		v := offerView{Offer: m, Usable: true, QualityFrom: fromCatalogue, SpeedFrom: fromCatalogue}
		switch err := r.mayAsk(p); {
		case err != nil:
			v.Usable, v.Why = false, cause(err)
		case !m.Enabled:
			v.Usable, v.Why = false, "not enabled"
		}
		views = append(views, v)
	}
	rows := [][]string{{"", "ID", "NAME", "IN/1K", "OUT/1K", "AS OF", "QUALITY", "SPEED", "GOOD AT", "CONTEXT", "VISION", "TERMS", "FROM", "NOTE"}}
	for _, v := range views {
		rows = append(rows, v.row())
	}
	r.table(rows)
	r.printf("\n✓ can be asked now. Costs are dollars per 1,000 tokens; ? is not known. config.yaml changes, adds and disables.\n")
	return r.object(views)
}

// localOffers are the registry's models. Their scores are what was measured here,
// where something was.
func (r *retort) localOffers(ctx context.Context) ([]offerView, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	list, err := reg.List()
	if err != nil {
		return nil, err
	}
	known, err := r.learnt(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil { // the models are there all the same
		r.note("what was measured is left out: %s", oneLine(err))
	}
	views := []offerView{}
	for _, m := range list {
		v := offerView{Offer: models.Offer{ID: enginePrefix + m.ID, Name: m.ID, Provider: "llamacpp", ModelID: m.ID, InputCost: new(0.0), OutputCost: new(0.0),
			Enabled: true, Terms: models.TermsRestricted, Origin: "registry"}, Usable: true}
		for _, e := range models.Catalogue() {
			if e.ID == m.ID {
				v.Name, v.Specialization, v.Terms = e.Name, e.Specialization, e.Terms
				v.QualityScore, v.QualityFrom = e.Quality(""), fromCatalogue
				v.SpeedScore, v.SpeedFrom = e.SpeedScore, fromCatalogue
			}
		}
		v.measured(m, known)
		views = append(views, v)
	}
	return views, nil
}

// enoughOutcomes is how many questions say more of a model than a catalogue does.
const enoughOutcomes = 10

// measured takes in what was measured of a model: its speed, a tenth of the tokens
// per second, and how often it was right, in tenths.
func (v *offerView) measured(m models.Manifest, known learnt) {
	if rate := known.speeds[m.ID].rate(); rate > 0 {
		v.SpeedScore, v.SpeedFrom = min(10, rate/10), fromRecord
	}
	var all routing.Beta
	for key, seen := range known.skills {
		if key.Model == m.ID {
			all.Wins, all.Losses = all.Wins+seen.Wins, all.Losses+seen.Losses
		}
	}
	switch {
	case m.Gate != nil:
		v.QualityScore, v.QualityFrom, v.Specialization = 10*m.Gate.Accuracy, fromGate, []string{m.TaskType}
	case all.Wins+all.Losses >= enoughOutcomes:
		v.QualityScore, v.QualityFrom = 10*all.Mean(), fromRecord
	}
}

func (v offerView) row() []string {
	note := v.Note
	if v.Why != "" {
		note = strings.TrimSuffix(v.Why+"; "+note, "; ")
	}
	return []string{map[bool]string{true: "✓"}[v.Usable], v.ID, v.Name, dollars(v.InputCost), dollars(v.OutputCost), v.AsOf,
		score(v.QualityScore, v.QualityFrom), score(v.SpeedScore, v.SpeedFrom), strings.Join(v.Specialization, ","), size(v.ContextSize),
		map[bool]string{true: "yes"}[v.Vision], v.Terms, v.Origin, note}
}

func dollars(f *float64) string {
	if f == nil {
		return "?"
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

func score(f float64, from string) string {
	if from == "" {
		return "?"
	}
	return fmt.Sprintf("%.1f", f)
}

func size(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// cause is the reason why a provider may not be asked, without its name.
func cause(err error) string {
	for _, reason := range []error{errNotEnabled, errKeyMissing, errOffline} {
		if errors.Is(err, reason) {
			return reason.Error()
		}
	}
	return oneLine(err)
}
