package llamacpp

import (
	"cmp"
	"slices"
)

// turns puts branches in the order in which they are served: one of each job,
// then the second of each, and so on. Which job is first changes with turn.
// Within a job the order stays.
func turns(branches []*branch, turn int) []*branch {
	if len(branches) < 2 {
		return branches
	}
	var jobs []*job
	of := make(map[*job][]*branch)
	for _, b := range branches {
		if of[b.job] == nil {
			jobs = append(jobs, b.job)
		}
		of[b.job] = append(of[b.job], b)
	}
	first := turn % len(jobs)
	jobs = append(jobs[first:len(jobs):len(jobs)], jobs[:first]...)
	out := make([]*branch, 0, len(branches))
	for round := 0; len(out) < len(branches); round++ {
		for _, j := range jobs {
			if round < len(of[j]) {
				out = append(out, of[j][round])
			}
		}
	}
	return out
}

// shares divides total among needs: nobody gets more than it needs, and what
// one does not need the others get. So the smallest are served in full first.
func shares(total int, needs []int) []int {
	order := make([]int, len(needs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(needs[a], needs[b]) })
	out := make([]int, len(needs))
	for i, k := range order {
		left := len(order) - i
		out[k] = min(needs[k], (total+left-1)/left)
		total -= out[k]
	}
	return out
}

// byNeed orders waiting branches: those first whose job would hold the fewest
// sequences without them, and of equal ones the one that waits longest. The
// second result is how many sequences each job holds.
func byNeed(waiting, running []*branch) ([]*branch, map[*job]int) {
	held := make(map[*job]int)
	for _, b := range running {
		held[b.job]++
	}
	rank, before := make(map[*branch]int), make(map[*job]int)
	for _, b := range waiting {
		rank[b] = held[b.job] + before[b.job]
		before[b.job]++
	}
	queue := slices.Clone(waiting)
	slices.SortStableFunc(queue, func(a, b *branch) int { return cmp.Compare(rank[a], rank[b]) })
	return queue, held
}

// spare returns the youngest branch of the job that holds the most sequences;
// nil if none holds two.
func spare(running []*branch, held map[*job]int) *branch {
	var best *branch
	for _, b := range running {
		if n := held[b.job]; n > 1 && (best == nil || n >= held[best.job]) {
			best = b
		}
	}
	return best
}
