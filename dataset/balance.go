package dataset

import (
	"cmp"
	"slices"
)

// Balance returns as many examples of each response as there would be if all
// were equally frequent, for tasks with a closed set of answers. Of a frequent
// response the best examples are taken; those of a rare one are repeated in
// turn. Without it a model learns how often each answer was easy to agree on.
func Balance(examples []Example) []Example {
	byResponse := map[string][]Example{}
	var responses []string
	for _, ex := range examples {
		if byResponse[ex.Response] == nil {
			responses = append(responses, ex.Response)
		}
		byResponse[ex.Response] = append(byResponse[ex.Response], ex)
	}
	slices.Sort(responses)
	var out []Example
	for i, r := range responses {
		group := byResponse[r]
		slices.SortStableFunc(group, func(a, b Example) int { return cmp.Compare(b.QualityScore, a.QualityScore) })
		share := (len(examples) - len(out)) / (len(responses) - i)
		for n := range share {
			out = append(out, group[n%len(group)])
		}
	}
	return out
}
