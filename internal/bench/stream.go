package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"retort/llm"
)

// Ask is the work of one request to a server, in raw text: no template stands
// between it and the tokens.
type Ask struct {
	Prompt      string
	Output      int // tokens that every answer is to have
	Answers     int // 1 if 0
	Temperature float64
	TopK        int
	TopP        float64
	Seed        int64
}

// Request returns a as a request to a model whose template lets the text
// through as it is.
func (a Ask) Request() llm.Request {
	return llm.Request{Messages: []llm.Message{llm.User(a.Prompt)}, Sampling: llm.Sampling{Temperature: &a.Temperature,
		TopK: &a.TopK, TopP: &a.TopP, MinP: new(0.0), Seed: &a.Seed, MaxOutputTokens: a.Output}}
}

// Generate has m answer a once and measures it by the clock of the one who
// asks, as it is measured for a server.
func Generate(ctx context.Context, m llm.Model, a Ask) (Sample, error) {
	began := time.Now()
	var s Sample
	for ev, err := range m.Generate(ctx, a.Request()) {
		if err != nil {
			return s, err
		}
		switch ev := ev.(type) {
		case llm.Text:
			if s.First == 0 && ev.Delta != "" {
				s.First = time.Since(began)
			}
		case llm.Done:
			s.Total, s.Input, s.Output = time.Since(began), ev.Usage.InputTokens, ev.Usage.OutputTokens
		}
	}
	if s.Total == 0 {
		return s, llm.ErrIncomplete
	}
	return s, nil
}

// GenerateN has m answer a a.Answers times in one call.
func GenerateN(ctx context.Context, m llm.Model, a Ask) (Sample, error) {
	began := time.Now()
	got, err := llm.CollectN(ctx, m, a.Request(), a.Answers)
	if err != nil {
		return Sample{}, err
	}
	s := Sample{Total: time.Since(began)}
	for _, r := range got {
		s.Input, s.Output = r.Usage.InputTokens, s.Output+r.Usage.OutputTokens
	}
	return s, nil
}

// GenerateEach has m answer a a.Answers times, one call after the other.
func GenerateEach(ctx context.Context, m llm.Model, a Ask) (Sample, error) {
	var out Sample
	for range a.Answers {
		s, err := Generate(ctx, m, a)
		if err != nil {
			return out, err
		}
		out.Total, out.Input, out.Output = out.Total+s.Total, s.Input, out.Output+s.Output
		a.Seed++
	}
	return out, nil
}

// Prompts makes texts of a given number of tokens that every model goes on with
// for as long as it may: lists, whose next entry always comes to mind.
type Prompts struct {
	// Count returns how many tokens of a prompt a text is.
	Count func(text string) (int, error)
	Seed  uint64
}

// errNoPrompt: no text has that many tokens.
var errNoPrompt = errors.New("no text of that many tokens")

// Text returns the n-th text of exactly that many tokens. Texts of different n
// differ from their first words on, so that no cache knows them.
func (p Prompts) Text(n, tokens int) (string, error) {
	words := listWords(p.Seed+uint64(n)*7919, tokens)
	low, high := 0, len(words)
	for low < high { // the fewest words that are enough
		mid := (low + high) / 2
		count, err := p.Count(strings.Join(words[:mid], ""))
		if err != nil {
			return "", err
		}
		if count < tokens {
			low = mid + 1
		} else {
			high = mid
		}
	}
	text := strings.Join(words[:low], "")
	for i := range 16 {
		count, err := p.Count(text)
		switch {
		case err != nil:
			return "", err
		case count == tokens:
			return text, nil
		case count > tokens && low > 0: // the last word is of several tokens: shorter ones take its place
			low--
			text = strings.Join(words[:low], "")
		case count < tokens:
			text += fillers[i%len(fillers)]
		}
	}
	return "", fmt.Errorf("%w: %d", errNoPrompt, tokens)
}
