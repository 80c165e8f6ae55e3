package clean

import (
	"fmt"
	"slices"
	"strings"

	"retort/dataset"
)

// sourceOf names where an example comes from: a file, or the models that gave it.
func sourceOf(ex dataset.Example) string {
	name := ex.Source.Name
	if name == "" {
		name = strings.Join(ex.Source.Models, "+")
	}
	return strings.TrimSuffix(ex.Source.Kind+":"+name, ":")
}

// capSources keeps the best of each source. Examples come best first.
func (s *selector) capSources(examples []dataset.Example) []dataset.Example {
	if s.opts.MaxPerSource == 0 {
		return examples
	}
	count := map[string]int{}
	return slices.DeleteFunc(examples, func(ex dataset.Example) bool {
		source := sourceOf(ex)
		if count[source]++; count[source] <= s.opts.MaxPerSource {
			return false
		}
		return s.exclude(ex, SourceCap, fmt.Sprintf("%s gave %d better ones", source, s.opts.MaxPerSource), "")
	})
}

// capSelf keeps the best of what the owner's own models gave, so that it is no
// more than its share of the whole: a model that learns from itself alone gets
// narrower each time.
func (s *selector) capSelf(examples []dataset.Example) []dataset.Example {
	share, capped := s.selfShare()
	if !capped {
		return examples
	}
	self := make(map[string]bool)
	for _, ex := range examples {
		if s.opts.SelfGenerated(ex) {
			self[ex.ID] = true
		}
	}
	room := selfRoom(len(examples)-len(self), share)
	return slices.DeleteFunc(examples, func(ex dataset.Example) bool {
		if !self[ex.ID] {
			return false
		}
		if room--; room >= 0 {
			return false
		}
		return s.exclude(ex, SelfCap, fmt.Sprintf("your own models gave more than %.0f %%", 100*share), "")
	})
}

// selfShare is the cap on what the owner's own models gave, if there is one.
func (s *selector) selfShare() (share float64, capped bool) {
	if s.opts.MaxSelfGenerated == nil || s.opts.SelfGenerated == nil {
		return 1, false
	}
	return *s.opts.MaxSelfGenerated, *s.opts.MaxSelfGenerated < 1
}

// selfRoom is how many self-generated examples may join others others.
func selfRoom(others int, share float64) int {
	return int(share / (1 - share) * float64(others) * (1 + 1e-9)) // 0.2/0.8*4 is a hair below 1
}
