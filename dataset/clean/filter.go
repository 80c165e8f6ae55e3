package clean

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"retort/dataset"
)

// goodRating is the number of stars from which the owner's word on an answer
// counts for more than how it looks.
const goodRating = 4

// filter leaves out what is wrong by itself, whatever else there is.
func (s *selector) filter(ctx context.Context, examples []dataset.Example) ([]dataset.Example, error) {
	var out []dataset.Example
	for chunk := range slices.Chunk(examples, aheadChunk) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i, f := range parallel(chunk, s.fault) {
			if f.reason != "" {
				s.exclude(chunk[i], f.reason, f.detail, f.of)
				continue
			}
			out = append(out, chunk[i])
		}
	}
	return out, nil
}

// parallel is fn of each of examples, on all CPUs.
func parallel[T any](examples []dataset.Example, fn func(dataset.Example) T) []T {
	out := make([]T, len(examples))
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(examples); i += workers {
				out[i] = fn(examples[i])
			}
		})
	}
	wg.Wait()
	return out
}

// fault says what is wrong with an example; its reason is "" if nothing is.
type fault struct {
	reason     Reason
	detail, of string
}

func (s *selector) fault(ex dataset.Example) fault {
	if why := s.forbidden(ex); why != "" {
		return fault{Terms, why, ""}
	}
	if !s.opts.Include[ex.ID] {
		r, detail := s.quarantine.Holds(ex)
		if r == "" {
			r, detail = s.form(ex)
		}
		if r != "" {
			return fault{r, detail, ""}
		}
	}
	if detail, of := s.heldOut.overlap(ex); detail != "" {
		return fault{Contaminated, detail, of}
	}
	return fault{}
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
