package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"syscall"

	"retort/dataset"
)

// protocol is the version of what the two sides say to each other. It changes
// with anything that one side of another version would get wrong.
const protocol = "1"

// Headers of every request and answer.
const (
	protocolHeader = "Retort-Protocol"
	pidHeader      = "Retort-Pid" // of the process that holds the store; in answers alone
)

// line is one line of an answer. The last one is End alone; an answer without it
// was cut short.
type line[T any] struct {
	Value *T         `json:"value,omitempty"`
	Error *wireError `json:"error,omitempty"`
	End   bool       `json:"end,omitempty"`
}

// wireError is an error on its way: its text, and which of the kinds it is.
type wireError struct {
	Text  string   `json:"text"`
	Kinds []string `json:"kinds,omitempty"`
}

// kinds are the errors that callers tell apart, by their names on the wire.
var kinds = []struct {
	name string
	err  error
}{
	{"not_found", dataset.ErrNotFound},
	{"ambiguous", dataset.ErrAmbiguous},
	{"invalid", dataset.ErrInvalid},
	{"no_space", dataset.ErrNoSpace},
	{"damaged", dataset.ErrDamaged},
	{"closed", dataset.ErrClosed},
	{"busy", dataset.ErrBusy},
	{"canceled", context.Canceled},
	{"deadline_exceeded", context.DeadlineExceeded},
	{"file_not_found", fs.ErrNotExist},
	{"file_exists", fs.ErrExist},
	{"permission", fs.ErrPermission},
	{"disk_full", syscall.ENOSPC},
}

// wireErrorOf returns nil for nil.
func wireErrorOf(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			w.Kinds = append(w.Kinds, k.name)
		}
	}
	return w
}

// remoteError is an error that the holder of the store returned.
type remoteError struct {
	text  string
	kinds []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.kinds }

// error returns nil for nil. Kinds that are not known are left out.
func (w *wireError) error() error {
	if w == nil {
		return nil
	}
	e := &remoteError{text: w.Text}
	for _, name := range w.Kinds {
		for _, k := range kinds {
			if k.name == name {
				e.kinds = append(e.kinds, k.err)
			}
		}
	}
	return e
}

// preferred is the answer to Prefer.
type preferred struct {
	Worse  dataset.Example `json:"worse"`
	Better dataset.Example `json:"better"`
}

// report is a dataset.Report whose errors can travel: its Damage hides that of
// the one within.
type report struct {
	dataset.Report
	Damage []*wireError
}

func reportOf(r dataset.Report) report {
	out := report{Report: r}
	for _, err := range r.Damage {
		out.Damage = append(out.Damage, wireErrorOf(err))
	}
	return out
}

func (r report) report() dataset.Report {
	out := r.Report
	out.Damage = nil
	for _, w := range r.Damage {
		out.Damage = append(out.Damage, w.error())
	}
	return out
}

// Arguments travel as forms: unlike JSON these can hold every string and number.

func filterForm(f dataset.Filter) url.Values {
	return url.Values{
		"task_type":   {f.TaskType},
		"min_quality": {strconv.FormatFloat(f.MinQuality, 'g', -1, 64)},
		"split":       {string(f.Split)},
		"kind":        {f.Kind},
		"limit":       {strconv.Itoa(f.Limit)},
	}
}

func formFilter(form url.Values) (dataset.Filter, error) {
	quality, err := number(form, "min_quality")
	if err != nil {
		return dataset.Filter{}, err
	}
	limit, err := integer(form, "limit")
	return dataset.Filter{TaskType: form.Get("task_type"), MinQuality: quality, Split: dataset.Split(form.Get("split")),
		Kind: form.Get("kind"), Limit: limit}, err
}

func preferenceForm(p dataset.Preference) url.Values {
	return url.Values{"id": {p.ID}, "stars": {strconv.Itoa(p.Stars)}, "better": {p.Better}}
}

func formPreference(form url.Values) (dataset.Preference, error) {
	stars, err := integer(form, "stars")
	return dataset.Preference{ID: form.Get("id"), Stars: stars, Better: form.Get("better")}, err
}

// integer reads a field of a form; one that is not there is 0.
func integer(form url.Values, name string) (int, error) {
	if !form.Has(name) {
		return 0, nil
	}
	n, err := strconv.Atoi(form.Get(name))
	if err != nil {
		return 0, fmt.Errorf("field %q: %w", name, err)
	}
	return n, nil
}

// number reads a field of a form; one that is not there is 0.
func number(form url.Values, name string) (float64, error) {
	if !form.Has(name) {
		return 0, nil
	}
	x, err := strconv.ParseFloat(form.Get(name), 64)
	if err != nil {
		return 0, fmt.Errorf("field %q: %w", name, err)
	}
	return x, nil
}
