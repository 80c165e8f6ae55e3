package clean

import (
	"fmt"

	"retort/dataset"
)

// Quarantine finds secrets and personal data in one example after the other, by
// the rules of Select. Several goroutines may use it.
type Quarantine struct{ secrets *secretScan }

// NewQuarantine takes a quarter of a second the first time.
func NewQuarantine() (*Quarantine, error) {
	secrets, err := leaks()
	if err != nil {
		return nil, err
	}
	return &Quarantine{secrets}, nil
}

// Holds returns Secret or PersonalData, and which kind of it in one line for
// people, or "" for an example that may be learnt from.
func (q *Quarantine) Holds(ex dataset.Example) (r Reason, detail string) {
	return q.find(everything(ex))
}

// HoldsAnywhere is Holds for all that is stored of ex, the answers that were not
// kept included.
func (q *Quarantine) HoldsAnywhere(ex dataset.Example) (r Reason, detail string) {
	fields := everything(ex)
	for _, text := range ex.Rejected {
		fields = append(fields, field{"rejected answer", text})
	}
	for _, c := range ex.Candidates {
		if c.Response != ex.Response {
			fields = append(fields, field{"candidate", c.Response})
		}
	}
	return q.find(fields)
}

func (q *Quarantine) find(fields []field) (r Reason, detail string) {
	for _, f := range fields {
		if rule := q.secrets.find(f.text); rule != "" {
			return Secret, fmt.Sprintf("%s in its %s", rule, f.name)
		}
	}
	for _, f := range fields {
		if kind := findPersonal(f.text); kind != "" {
			return PersonalData, fmt.Sprintf("%s in its %s", kind, f.name)
		}
	}
	return "", ""
}
