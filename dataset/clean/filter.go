package clean

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"retort/dataset"
)

// goodRating is the number of stars from which the owner's word on an answer
// counts for more than how it looks.
const goodRating = 4

// filter leaves out what is wrong by itself, whatever else there is.
func (s *selector) filter(ctx context.Context, examples []dataset.Example) ([]dataset.Example, error) {
	var out []dataset.Example
	for _, ex := range examples {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if r, detail, of := s.fault(ex); r != "" {
			s.exclude(ex, r, detail, of)
			continue
		}
		out = append(out, ex)
	}
	return out, nil
}

func (s *selector) fault(ex dataset.Example) (r Reason, detail, of string) {
	if why := s.forbidden(ex); why != "" {
		return Terms, why, ""
	}
	if !s.opts.Include[ex.ID] {
		if r, detail = s.quarantine.Holds(ex); r == "" {
			r, detail = s.form(ex)
		}
		if r != "" {
			return r, detail, ""
		}
	}
	if detail, of = s.heldOut.overlap(ex); detail != "" {
		return Contaminated, detail, of
	}
	return "", "", ""
}

func (s *selector) forbidden(ex dataset.Example) string {
	if s.opts.Allowed != nil {
		return s.opts.Allowed(ex)
	}
	if ex.Source.Terms == "restricted" {
		return "the terms of its teacher are restricted"
	}
	return ""
}

// form judges the response by its looks. One that the owner wrote or rated well
// is only looked at for length.
func (s *selector) form(ex dataset.Example) (Reason, string) {
	text := strings.TrimSpace(ex.Response)
	if text == "" {
		return Empty, "it has no response"
	}
	if n := utf8.RuneCountInString(text); n > s.opts.MaxChars {
		return TooLong, fmt.Sprintf("its response has %d letters, more than %d", n, s.opts.MaxChars)
	}
	if ex.Source.Kind == "manual" || ex.UserFeedback >= goodRating {
		return "", ""
	}
	if len(s.opts.Languages) > 0 {
		if l := Language(text); l != "" && !slices.Contains(s.opts.Languages, l) {
			return OtherLanguage, fmt.Sprintf("its response is in %q", l)
		}
	}
	if refuses(text) {
		return Refusal, "its response declines to answer"
	}
	return "", ""
}
