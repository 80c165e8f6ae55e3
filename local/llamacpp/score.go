package llamacpp

import (
	"context"
	"fmt"
	"slices"

	"retort/llm"
)

// scoring reads off the log-probabilities of given continuations. Where these
// share their first tokens, they share the work.
type scoring struct {
	job *job
}

func (sc *scoring) every() bool { return true }

// choose adds, for each sample, the log-probability of the token that follows
// pos on its path.
func (sc *scoring) choose(b *branch, pos int, logits []float32) ([]fork, error) {
	at := pos - (len(sc.job.prompt) - 1) // the token of each path that is scored here
	norm := logNorm(logits)
	if norm != norm {
		return nil, errNoLogits
	}
	last := pos == len(b.tokens)-1
	groups := make(map[int32]int)
	var forks []fork
	for _, s := range b.samples {
		token := s.path[at]
		if at == s.scored { // else the branch had to make way, and is decoded again
			s.score += float64(logits[token]) - norm
			s.scored++
		}
		if !last {
			continue
		}
		if at == len(s.path)-1 {
			sc.job.box.put(message{sample: s.index})
			continue
		}
		i, ok := groups[token]
		if !ok {
			i = len(forks)
			groups[token] = i
			forks = append(forks, fork{})
		}
		forks[i].samples = append(forks[i].samples, s)
	}
	for i := range forks {
		forks[i].tokens = sharedPath(forks[i].samples, at)
	}
	return forks, nil
}

// sharedPath returns the tokens from at on that are to be decoded for all of
// samples. The last token of a path is scored, never decoded.
func sharedPath(samples []*sample, at int) []int32 {
	first := samples[0].path
	shared := first[at : len(first)-1]
	for _, s := range samples[1:] {
		shared = shared[:commonPrefix(shared, s.path[at:len(s.path)-1])]
	}
	return shared
}

// Score implements llm.Scorer. The end mark of the answer is not part of the
// score.
func (m *Model) Score(ctx context.Context, req llm.Request, continuations []string) ([]llm.Score, error) {
	scores, err := m.score(ctx, req, continuations)
	if err != nil {
		return nil, m.wrap("score", err)
	}
	return scores, nil
}

func (m *Model) score(ctx context.Context, req llm.Request, continuations []string) ([]llm.Score, error) {
	if err := m.check(req); err != nil {
		return nil, err
	}
	if len(continuations) == 0 {
		return nil, nil
	}
	head, prompt, err := m.promptTokens(req.Messages, req.Tools...)
	if err != nil {
		return nil, err
	}
	j := &job{ctx: ctx, prompt: prompt, box: newMailbox()}
	j.chooser = &scoring{job: j}
	follow, err := m.follower(prompt, head)
	if err != nil {
		return nil, err
	}
	lead := m.template.leadBehind(head)
	for i, text := range continuations {
		path, err := follow(lead + text)
		if err != nil {
			return nil, err
		}
		if len(path) == 0 {
			return nil, fmt.Errorf("%w: continuation %d is empty", llm.ErrBadRequest, i)
		}
		if n := len(prompt) + len(path) - 1; n > m.contextSize {
			return nil, overflow(n, m.contextSize)
		}
		j.samples = append(j.samples, &sample{index: i, path: path})
	}
	if err := m.sched.submit(j); err != nil {
		return nil, err
	}
	defer j.left.Store(true)
	return collectScores(ctx, j)
}

// collectScores waits until every path of j has been scored.
func collectScores(ctx context.Context, j *job) ([]llm.Score, error) {
	out := make([]llm.Score, len(j.samples))
	for left := len(out); left > 0; {
		got, err := j.box.take(ctx)
		if err != nil {
			return nil, err
		}
		for _, msg := range got {
			if msg.err != nil {
				return nil, msg.err
			}
			s := j.samples[msg.sample]
			out[msg.sample] = llm.Score{Logprob: s.score, Tokens: len(s.path)}
			left--
		}
	}
	return slices.Clip(out), nil
}
