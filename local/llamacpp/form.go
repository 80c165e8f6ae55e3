package llamacpp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"retort/llm"
)

// form binds the answers to a request to a grammar. Of a token that was drawn
// freely only that one is checked; where the grammar refuses it, another is
// drawn from those that it allows.
type form struct {
	matcher *matcher
	words   words
	lead    string             // what an answer begins with that is no part of it
	strict  *sampler           // draws from the tokens that are allowed
	index   func() *tokenIndex // of the vocabulary
	marks   []int32            // tokens that have a text in this answer alone

	cached int // tokens that are listed in states
	top    []candidate
	logits []float32 // of the allowed tokens
}

const (
	wideState = 16      // first bytes: with more, the likeliest tokens are looked at first
	maxCached = 1 << 22 // tokens listed in states
)

// newForm compiles what req asks for; nil if it asks for nothing.
func newForm(req llm.Request, w words, lead string, index func() *tokenIndex) (*form, error) {
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
	f := &form{matcher: m, words: w, lead: lead, strict: newSampler(req.Sampling), index: index}
	if marked, ok := w.(markWords); ok {
		f.marks = slices.Sorted(maps.Keys(marked.marks))
	}
	return f, nil
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

// redraw draws from the tokens that the form allows.
func (f *form) redraw(s *sample, logits []float32) (int32, error) {
	tokens, err := f.allowed(s, logits)
	if err != nil {
		return 0, err
	}
	if len(tokens) == 0 {
		return 0, fmt.Errorf("the model has no token that the format allows next: %w", llm.ErrUnsupported)
	}
	f.logits = f.logits[:0]
	for _, token := range tokens {
		f.logits = append(f.logits, logits[token])
	}
	if err := f.strict.read(f.logits); err != nil {
		return 0, err
	}
	return tokens[f.strict.draw(s.rng)], nil
}

// allowed returns the tokens that s may go on with: all of them, or so many of
// the likeliest that the sampler looks at no others.
func (f *form) allowed(s *sample, logits []float32) ([]int32, error) {
	if s.form.listed {
		return s.form.tokens, nil
	}
	first := s.form.first()
	if s.out == 0 && f.lead != "" {
		first[f.lead[0]] = true
	}
	if want := f.want(); want > 0 && count(first) > wideState {
		f.top = likeliest(f.top[:0], logits, max(256, want))
		var tokens []int32
		for _, c := range f.top {
			tokens = append(tokens, c.token)
		}
		tokens, err := f.filter(s, nil, tokens)
		if err != nil || len(tokens) >= want {
			return tokens, err
		}
	}
	index := f.index()
	tokens, err := f.filter(s, nil, index.ends)
	for b := 0; b < len(first) && err == nil; b++ {
		if first[b] {
			tokens, err = f.filter(s, tokens, index.first[b])
		}
	}
	if err == nil {
		tokens, err = f.filter(s, tokens, f.marks)
	}
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	if f.cached += len(tokens); s.out > 0 && f.cached < maxCached {
		s.form.tokens, s.form.listed = tokens, true
	}
	return tokens, err
}

// want is how many tokens the sampler looks at; 0 for all.
func (f *form) want() int {
	if f.strict.temperature == 0 {
		return 1
	}
	return f.strict.topK
}

func (f *form) filter(s *sample, dst, tokens []int32) ([]int32, error) {
	for _, token := range tokens {
		_, ok, err := f.allows(s, token)
		if err != nil {
			return nil, err
		}
		if ok {
			dst = append(dst, token)
		}
	}
	return dst, nil
}

func count(set [256]bool) int {
	n := 0
	for _, in := range set {
		if in {
			n++
		}
	}
	return n
}

// tokenIndex lists the tokens of a vocabulary by the first byte of their text.
type tokenIndex struct {
	first [256][]int32
	ends  []int32 // those that end an answer
}

func newTokenIndex(w words, size int) *tokenIndex {
	x := &tokenIndex{}
	for token := range int32(size) {
		switch piece := w.piece(token); {
		case w.endsAnswer(token):
			x.ends = append(x.ends, token)
		case piece != "":
			x.first[piece[0]] = append(x.first[piece[0]], token)
		}
	}
	return x
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
