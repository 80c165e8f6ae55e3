package forms

import (
	"crypto/sha256"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"retort/dataset"
	"retort/llm"
)

// Pair is two answers to the same question, one of them better.
type Pair struct {
	ID       string        `json:"id"` // of the example with the better answer
	Origin   Origin        `json:"origin"`
	Prompt   []llm.Message `json:"prompt"`
	Chosen   string        `json:"chosen"`
	Rejected string        `json:"rejected"`
}

// Origin says where it is known from which answer is better.
type Origin string

// The three origins.
const (
	OriginGiven      Origin = "given"      // the user or the data said so of this pair
	OriginRatings    Origin = "ratings"    // 4 or 5 stars for one, 1 or 2 for the other
	OriginCandidates Origin = "candidates" // their scores in the ensemble differ by the margin
)

// DefaultMargin is how far the scores of two candidates must lie apart.
const DefaultMargin = 0.3

// Pairs yields the preference pairs in examples, which it ranges over twice, in
// their order. An answer with one or two stars is never the better one. Of an
// example's candidates only the worst makes a pair, and none with a margin of 0.
// Errors in examples are yielded in their place.
func Pairs(examples iter.Seq2[dataset.Example, error], margin float64) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		for g, err := range groups(examples, margin) {
			if err != nil {
				if !yield(Pair{}, err) {
					return
				}
				continue
			}
			for _, w := range g.worse {
				if !yield(Pair{g.ex.ID, w.origin, g.ex.Messages, g.ex.Response, w.text}, nil) {
					return
				}
			}
		}
	}
}

// group is an example with the answers that are worse than its response.
type group struct {
	ex    dataset.Example
	worse []worse
}

type worse struct {
	text   string
	origin Origin
}

// groups yields every example with what is worse than it.
func groups(examples iter.Seq2[dataset.Example, error], margin float64) iter.Seq2[group, error] {
	return func(yield func(group, error) bool) {
		poor := map[[32]byte][]string{} // answers with one or two stars, by question
		for ex, err := range examples {
			if err == nil && ex.Refused() { // the second pass tells of the errors
				key := questionKey(ex)
				poor[key] = append(poor[key], ex.Response)
			}
		}
		for ex, err := range examples {
			g := group{ex: ex}
			if err == nil && !ex.Refused() {
				g.add(OriginGiven, ex.Rejected...)
				if ex.UserFeedback >= 4 && len(poor) > 0 {
					g.add(OriginRatings, poor[questionKey(ex)]...)
				}
				g.add(OriginCandidates, worstCandidate(ex, margin)...)
			}
			if !yield(g, err) {
				return
			}
		}
	}
}

// add appends the texts that say something else than what is there.
func (g *group) add(origin Origin, texts ...string) {
	for _, text := range texts {
		known := slices.ContainsFunc(g.worse, func(w worse) bool { return w.text == text })
		if !known && strings.TrimSpace(text) != strings.TrimSpace(g.ex.Response) {
			g.worse = append(g.worse, worse{text, origin})
		}
	}
}

func questionKey(ex dataset.Example) [32]byte {
	text, _ := json.Marshal(ex.Messages) // stored once as JSON, so it can be again
	return sha256.Sum256(text)
}

// worstCandidate returns the answer that scored least, if the response is among
// the candidates, none is better, and that one is clearly worse.
func worstCandidate(ex dataset.Example, margin float64) []string {
	own, best := -1.0, -1.0
	var worst *dataset.Candidate
	for i, c := range ex.Candidates {
		if c.Error != "" || strings.TrimSpace(c.Response) == "" {
			continue
		}
		best = max(best, c.Score)
		if strings.TrimSpace(c.Response) == strings.TrimSpace(ex.Response) {
			own = max(own, c.Score)
		} else if worst == nil || c.Score < worst.Score {
			worst = &ex.Candidates[i]
		}
	}
	// Rounded as scores are, so that 0.9 and 0.6 are 0.3 apart.
	if margin <= 0 || worst == nil || own < best || own-worst.Score+1e-6 < margin {
		return nil
	}
	return []string{worst.Response}
}
