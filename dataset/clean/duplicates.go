package clean

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"retort/dataset"
)

// NearDuplicates returns those of examples that nearly repeat an earlier one, by
// p.Near alone: a part of what Select does.
func NearDuplicates(examples []dataset.Example, p Parameters) []Exclusion {
	s := &selector{opts: Options{Parameters: p.orDefault()}}
	s.dropNear(examples)
	return s.excluded
}

// deduplicate keeps of examples that say the same the first one; examples come
// best first.
func (s *selector) deduplicate(examples []dataset.Example) []dataset.Example {
	return s.dropNear(s.dropExact(examples))
}

func (s *selector) dropExact(examples []dataset.Example) []dataset.Example {
	first := make(map[[sha256.Size]byte]string, len(examples))
	return slices.DeleteFunc(examples, func(ex dataset.Example) bool {
		key := textKey(ex)
		if of, ok := first[key]; ok {
			return s.exclude(ex, ExactDuplicate, "the same words as a better one", of)
		}
		first[key] = ex.ID
		return false
	})
}

// textKey is equal for examples with the same words, roles and attachments.
func textKey(ex dataset.Example) [sha256.Size]byte {
	h := sha256.New()
	for _, m := range ex.Messages {
		fmt.Fprintf(h, "%s\n%s\n", m.Role, strings.Join(words(m.Content), " "))
	}
	fmt.Fprintf(h, "response\n%s\n", strings.Join(responseWords(ex), " "))
	io.WriteString(h, attachments(ex))
	return [sha256.Size]byte(h.Sum(nil))
}

// responseWords are the words of a response, or, where it has none ("=", ":-)"),
// the response.
func responseWords(ex dataset.Example) []string {
	if w := words(ex.Response); len(w) > 0 {
		return w
	}
	return []string{ex.Response}
}

// attachments tells apart examples whose words are equal and whose pictures or
// calls are not; "" if there are none.
func attachments(ex dataset.Example) string {
	var b strings.Builder
	for i, m := range ex.Messages {
		for _, img := range m.Images {
			fmt.Fprintf(&b, "%d image %x\n", i, sha256.Sum256(img.Data))
		}
		for _, call := range m.ToolCalls {
			fmt.Fprintf(&b, "%d call %s %s\n", i, call.Name, call.Arguments)
		}
	}
	return b.String()
}

// shingled is what near duplicates are found by.
type shingled struct {
	id       string
	set      []uint32 // shingles of question and response, without the frame
	response []string // its words
	attached string

	signature *signature // of set; nil if the text is too short to have near duplicates
}

// aheadChunk is how many examples are worked on ahead, by all CPUs.
const aheadChunk = 2048

func (s *selector) dropNear(examples []dataset.Example) []dataset.Example {
	frame := frames(examples, shingleWords)
	var (
		out  []dataset.Example
		kept []shingled
		near index
	)
	for chunk := range slices.Chunk(examples, aheadChunk) {
		for i, one := range parallel(chunk, func(ex dataset.Example) shingled { return shingle(ex, frame) }) {
			if one.signature != nil && !s.opts.Include[one.id] {
				if of, likeness := s.repeated(&near, kept, one); of != "" {
					s.exclude(chunk[i], NearDuplicate, fmt.Sprintf("%.0f %% the same as a better one", 100*likeness), of)
					continue
				}
				near.add(len(kept), one.signature)
				one.signature = nil // the index has what is needed of it
				kept = append(kept, one)
			}
			out = append(out, chunk[i])
		}
	}
	return out
}

// repeated finds a kept example that one nearly repeats.
func (s *selector) repeated(near *index, kept []shingled, one shingled) (of string, likeness float64) {
	near.candidates(one.signature, func(n int) bool {
		if j := jaccard(one.set, kept[n].set); j >= s.opts.Near && s.sameAnswer(one, kept[n]) {
			of, likeness = kept[n].id, j
		}
		return of == ""
	})
	return of, likeness
}

func shingle(ex dataset.Example, frame map[uint32]bool) shingled {
	one := shingled{id: ex.ID, response: responseWords(ex), attached: attachments(ex)}
	one.set = without(join(grams(words(question(ex)), shingleWords), grams(one.response, shingleWords)), frame)
	if len(one.set) >= minWords-shingleWords+1 {
		one.signature = new(sign(one.set))
	}
	return one
}

// sameAnswer reports whether two examples with nearly the same words do not
// contradict each other: a long question hides that "yes" became "no".
func (s *selector) sameAnswer(a, b shingled) bool {
	if a.attached != b.attached {
		return false
	}
	if slices.Equal(a.response, b.response) {
		return true
	}
	if min(len(a.response), len(b.response)) < minWords {
		return false
	}
	return jaccard(grams(a.response, shingleWords), grams(b.response, shingleWords)) >= s.opts.Near
}
