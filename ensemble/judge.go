package ensemble

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"

	"retort/ensemble/judge"
	"retort/llm"
)

// maxJudged is how many different answers are compared, those with the most
// votes: the number of pairs grows with its square.
const maxJudged = 5

// judged has the judges compare the different answers, each pair in both orders,
// and returns the one they prefer with its margin, 0 to 1, over the next. It is
// false if there are no judges, or none of them could judge; the outcome names
// those that could not.
func (q *query) judged(ctx context.Context, votes tally) (Candidate, float64, bool) {
	judges := slices.DeleteFunc(slices.Clone(q.opts.Judges), func(m llm.Model) bool { return !q.mayHelp(m, "judge") })
	if len(judges) == 0 {
		return Candidate{}, 0, false
	}
	ctx, cancel := q.helping(ctx)
	defer cancel()
	rivals := q.rivals()
	results := make([]JudgeResult, len(judges))
	ballots := make([][][]float64, len(judges))
	var wg sync.WaitGroup
	for i, m := range judges {
		wg.Go(func() { ballots[i], results[i] = compareAll(ctx, m, q.req, rivals) })
	}
	wg.Wait()
	q.out.Judges = results
	scores, ok := panelScores(ballots, results, rivals)
	if !ok {
		q.note("the judges could not judge, so votes decided")
		return Candidate{}, 0, false
	}
	top, next := -1, -1
	for i := range rivals {
		switch {
		case top < 0 || better(scores[i], votes.share(rivals[i].Key), scores[top], votes.share(rivals[top].Key)):
			top, next = i, top
		case next < 0 || scores[i] > scores[next]:
			next = i
		}
	}
	q.scoreBy(rivals, scores)
	margin := max(0, scores[top]-scores[next])
	q.judge = []float64{margin}
	q.out.Method = "pairwise judges, both orders: " + judgeNames(results)
	return rivals[top], margin, true
}

// better orders by score, and by votes where the judges see no difference.
func better(score, votes, thanScore, thanVotes float64) bool {
	if math.Abs(score-thanScore) > equal {
		return score > thanScore
	}
	return votes > thanVotes+equal
}

func judgeNames(results []JudgeResult) string {
	var names []string
	for _, r := range results {
		if r.Err == nil {
			names = append(names, r.Model)
		}
	}
	return strings.Join(names, ", ")
}

// rivals are the best candidates of the answers with the most votes.
func (q *query) rivals() []Candidate {
	var out []Candidate
	seen := map[string]bool{}
	for len(out) < maxJudged {
		var top Candidate
		topScore := -1.0
		for _, i := range q.byWorth() {
			for _, c := range q.parts[i].candidates {
				if !seen[c.Key] && (c.Score > topScore+equal || c.Score > topScore-equal && c.whole() && !top.whole()) {
					top, topScore = c, c.Score
				}
			}
		}
		if topScore < 0 {
			break
		}
		seen[top.Key] = true
		out = append(out, top)
	}
	return out
}

// panelScores is each rival's mean preference over the others, 0 to 1, over the
// judges that could judge. A judge has no say on its own answer where another
// judge is there to have it.
func panelScores(ballots [][][]float64, results []JudgeResult, rivals []Candidate) ([]float64, bool) {
	able := 0
	for _, r := range results {
		if r.Err == nil {
			able++
		}
	}
	if able == 0 {
		return nil, false
	}
	scores := make([]float64, len(rivals))
	for a := range rivals {
		for b := range rivals {
			if a == b {
				continue
			}
			sum, n := 0.0, 0.0
			for j, r := range results {
				own := r.Model == rivals[a].Model || r.Model == rivals[b].Model
				if r.Err == nil && (!own || able == 1) {
					sum += ballots[j][a][b]
					n++
				}
			}
			if n == 0 {
				sum, n = 0.5, 1
			}
			scores[a] += sum / n / float64(len(rivals)-1)
		}
	}
	return scores, true
}

// scoreBy gives the candidates of the rivals' answers the rivals' scores, and
// all others none.
func (q *query) scoreBy(rivals []Candidate, scores []float64) {
	byKey := map[string]float64{}
	for i, r := range rivals {
		byKey[r.Key] = scores[i]
		rivals[i].Score = scores[i]
	}
	for i := range q.parts {
		for j := range q.parts[i].candidates {
			c := &q.parts[i].candidates[j]
			c.Score = byKey[c.Key]
		}
	}
}

// compareAll has one judge compare every pair. The first failure ends it: a
// judge that saw only some of the pairs would be a biased one.
func compareAll(ctx context.Context, m llm.Model, req llm.Request, rivals []Candidate) ([][]float64, JudgeResult) {
	r := JudgeResult{Model: m.ID()}
	j, err := judge.New(ctx, m, req)
	if err != nil {
		r.Err = err
		return nil, r
	}
	prefer := make([][]float64, len(rivals))
	for i := range prefer {
		prefer[i] = make([]float64, len(rivals))
	}
	for a := range rivals {
		for b := a + 1; b < len(rivals); b++ {
			v, err := j.Compare(ctx, rivals[a].Text, rivals[b].Text)
			if err != nil {
				r.Err = err
				return nil, r
			}
			r.Compared++
			r.Usage = r.Usage.Add(v.Usage)
			if v.Tie {
				r.Ties++
			}
			prefer[a][b], prefer[b][a] = v.First, 1-v.First
		}
	}
	return prefer, r
}
