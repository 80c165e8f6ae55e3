package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"retort/models"
)

// offerView is one row of the table of all models, local and remote.
type offerView struct {
	models.Offer
	Usable bool   `json:"usable"` // it would take part in an ensemble now
	Why    string `json:"why,omitempty"`
}

// allModels prints every model that could be asked: those of the registry, then
// those of the providers.
func (r *retort) allModels() error {
	views, err := r.localOffers()
	if err != nil {
		return err
	}
	offers, err := offersOf(r.cfg)
	if err != nil {
		return err
	}
	for _, m := range offers.Models {
		p, _ := offers.Provider(m.Provider)
		v := offerView{Offer: m, Usable: true}
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

// localOffers are the registry's models, with measured scores where there are some.
func (r *retort) localOffers() ([]offerView, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	list, err := reg.List()
	if err != nil {
		return nil, err
	}
	views := []offerView{}
	for _, m := range list {
		v := offerView{Offer: models.Offer{ID: enginePrefix + m.ID, Name: m.ID, Provider: "llamacpp", ModelID: m.ID, InputCost: new(0.0), OutputCost: new(0.0),
			Enabled: true, Terms: models.TermsRestricted, Origin: "registry", QualityScore: catalogueQuality(m.ID, "")}, Usable: true}
		for _, e := range models.Catalogue() {
			if e.ID == m.ID {
				v.Name, v.SpeedScore, v.Specialization, v.Terms = e.Name, e.SpeedScore, e.Specialization, e.Terms
			}
		}
		if m.Gate != nil {
			v.QualityScore, v.Specialization = 10*m.Gate.Accuracy, []string{m.TaskType}
		}
		views = append(views, v)
	}
	return views, nil
}

func (v offerView) row() []string {
	note := v.Note
	if v.Why != "" {
		note = strings.TrimSuffix(v.Why+"; "+note, "; ")
	}
	return []string{map[bool]string{true: "✓"}[v.Usable], v.ID, v.Name, dollars(v.InputCost), dollars(v.OutputCost), v.AsOf,
		score(v.QualityScore), score(v.SpeedScore), strings.Join(v.Specialization, ","), size(v.ContextSize),
		map[bool]string{true: "yes"}[v.Vision], v.Terms, v.Origin, note}
}

func dollars(f *float64) string {
	if f == nil {
		return "?"
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

func score(f float64) string {
	if f == 0 {
		return ""
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
