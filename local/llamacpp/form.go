package llamacpp

import (
	"fmt"
	"math"
	"strings"

	"retort/llm"
)

// form binds the answers to a request to a grammar. Of a token that was drawn
// freely only that one is checked; where the grammar refuses it, another is
// drawn from those that it allows.
type form struct {
	matcher *matcher
	words   words
	lead    string   // what an answer begins with that is no part of it
	strict  *sampler // draws from the tokens that are allowed

	found  []candidate // scratch space
	masked []float32
}

// newForm compiles what req asks for; nil if it asks for nothing.
func newForm(req llm.Request, w words, lead string) (*form, error) {
	if req.Format == nil {
		return nil, nil
	}
	source := req.Format.Grammar
	if source == "" {
		var err error
		if source, err = schemaGrammar(req.Format.JSONSchema); err != nil {
			return nil, err
		}
	}
	g, err := parseGBNF(source)
	if err != nil {
		return nil, err
	}
	m, err := newMatcher(g)
	if err != nil {
		return nil, err
	}
	return &form{matcher: m, words: w, lead: lead, strict: newSampler(req.Sampling)}, nil
}

// bind returns the next token of s, which is the drawn one if the form allows
// it, and moves s on.
func (f *form) bind(s *sample, drawn int32, logits []float32) (int32, error) {
	next, ok, err := f.allows(s, drawn)
	if err == nil && !ok {
		if drawn, err = f.redraw(s, logits); err == nil {
			next, _, err = f.allows(s, drawn)
		}
	}
	if err != nil {
		return 0, err
	}
	s.form = next
	return drawn, nil
}

// allows returns the state of s after token; false if the form forbids it.
func (f *form) allows(s *sample, token int32) (*state, bool, error) {
	if f.words.endsAnswer(token) {
		return s.form, s.form.ends, nil
	}
	piece := f.words.piece(token)
	if piece == "" {
		return nil, false, nil
	}
	if s.out == 0 {
		piece = strings.TrimPrefix(piece, f.lead)
	}
	next, err := f.matcher.after(s.form, piece)
	return next, next != dead, err
}

// redraw draws from the tokens that the form allows. It looks among the
// likeliest first, and no further than the sampler would.
func (f *form) redraw(s *sample, logits []float32) (int32, error) {
	want := f.strict.topK
	if f.strict.temperature == 0 {
		want = 1
	}
	if want == 0 {
		want = len(logits)
	}
	ok := 0
	for n := max(256, want); ; n *= 16 {
		f.found = likeliest(f.found[:0], logits, n)
		allowed := f.found[:0]
		for _, c := range f.found {
			_, may, err := f.allows(s, c.token)
			if err != nil {
				return 0, err
			}
			if may {
				allowed = append(allowed, c)
			}
		}
		f.found, ok = allowed, len(allowed)
		if ok >= want || n >= len(logits) {
			break
		}
	}
	if ok == 0 {
		return 0, fmt.Errorf("the model has no token that the format allows next: %w", llm.ErrUnsupported)
	}
	if f.masked == nil {
		f.masked = make([]float32, len(logits))
		for i := range f.masked {
			f.masked[i] = float32(math.Inf(-1))
		}
	}
	for _, c := range f.found {
		f.masked[c.token] = c.logit
	}
	err := f.strict.read(f.masked)
	for _, c := range f.found {
		f.masked[c.token] = float32(math.Inf(-1))
	}
	if err != nil {
		return 0, err
	}
	return f.strict.draw(s.rng), nil
}

// whole reports an answer that ends, by a stop text, before its form does.
func (f *form) whole(s *sample) error {
	text := s.shown
	if s.text.call != nil {
		text += s.text.call.raw
	}
	end, err := f.matcher.after(f.matcher.root, text)
	if err == nil && !end.ends {
		err = fmt.Errorf("%w: a stop text cut it before it had the form that was asked for", llm.ErrIncomplete)
	}
	return err
}
