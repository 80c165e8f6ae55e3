package clean

import (
	"cmp"
	"slices"

	"retort/dataset"
)

const (
	shingleWords = 3  // in a shingle
	minWords     = 20 // of a text whose near duplicates are looked for

	// A shingle that this share of the examples or more have is part of a frame.
	frameShare   = 0.25
	frameMinimum = 20   // examples, below which nothing is called a frame
	frameSample  = 1000 // examples that frames are looked for in
)

// grams returns the hashes of all runs of n words, sorted and each once.
func grams(words []string, n int) []uint32 {
	if len(words) < n {
		return nil
	}
	hashes := make([]uint64, len(words))
	for i, w := range words {
		hashes[i] = hashString(w)
	}
	out := make([]uint32, 0, len(words)-n+1)
	for i := range len(words) - n + 1 {
		h := uint64(n)
		for _, w := range hashes[i : i+n] {
			h = mix(h*31 + w)
		}
		out = append(out, uint32(h>>32))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// hashString is FNV-1a: the same on every machine and in every run, so that
// selections are too.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads the bits of x (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// jaccard is the size of the intersection over that of the union of two sorted
// sets; 0 if both are empty.
func jaccard(a, b []uint32) float64 {
	both, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			both++
			i++
			j++
		}
	}
	if union := len(a) + len(b) - both; union > 0 {
		return float64(both) / float64(union)
	}
	return 0
}

// frames returns the n-word shingles that belong to what many examples share.
// They are looked for in those with the smallest IDs: IDs are digests, so that is
// a random sample, and always the same.
func frames(examples []dataset.Example, n int) map[uint32]bool {
	out := map[uint32]bool{}
	if len(examples) < frameMinimum {
		return out
	}
	sample := slices.Clone(examples)
	if len(sample) > frameSample {
		slices.SortFunc(sample, func(a, b dataset.Example) int { return cmp.Compare(a.ID, b.ID) })
		sample = sample[:frameSample]
	}
	count := map[uint32]int{}
	for _, ex := range sample {
		for _, g := range join(grams(words(question(ex)), n), grams(words(ex.Response), n)) {
			count[g]++
		}
	}
	for g, c := range count {
		if float64(c) >= frameShare*float64(len(sample)) {
			out[g] = true
		}
	}
	return out
}

// join returns the union of two sets.
func join(a, b []uint32) []uint32 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// without returns set less what is in frame.
func without(set []uint32, frame map[uint32]bool) []uint32 {
	if len(frame) == 0 {
		return set
	}
	return slices.DeleteFunc(set, func(g uint32) bool { return frame[g] })
}
