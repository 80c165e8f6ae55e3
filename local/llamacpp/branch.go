package llamacpp

// branch is the run of tokens that some samples of a job share. It holds one
// sequence while it runs, and splits where its samples choose differently: so
// samples that agree are decoded once.
type branch struct {
	job     *job
	samples []*sample
	tokens  []int32 // the prompt and what was chosen since
	done    int     // how many of tokens are decoded in seq
	seq     int
}

// borrowable is how many of b's first tokens may come from what others have
// decoded: all before the first one whose logits are still needed.
func (b *branch) borrowable() int {
	if b.job.chooser.every() {
		return min(len(b.tokens), len(b.job.prompt)+b.samples[0].scored) - 1
	}
	return len(b.tokens) - 1
}

// noSeq marks a branch that waits for a sequence.
const noSeq = -1

// fork is a continuation: the tokens that the samples chose.
type fork struct {
	tokens  []int32
	samples []*sample
}

// chooser decides how the samples of a branch go on.
type chooser interface {
	// every reports whether the logits after each token from the prompt's last
	// one on are needed, or those after the last token of a branch alone.
	every() bool
	// choose is given the logits after position pos of b. For the last position
	// it returns how the samples go on; those in no fork have ended.
	choose(b *branch, pos int, logits []float32) ([]fork, error)
}

// span is the part of a batch that belongs to one branch.
type span struct {
	branch *branch
	first  int // index of its first row
	n      int
}

// batch is what one decode is made of.
type batch struct {
	rows  []row
	spans []span
	room  int // rows that may be added,
	wants int // and how many of them with logits
}

// add puts up to n of the tokens that b waits for into the batch.
func (p *batch) add(b *branch, n int) {
	first := len(p.rows)
	for pos := b.done; pos < len(b.tokens) && n > 0 && p.room > 0; pos++ {
		want := pos == len(b.tokens)-1 || b.job.chooser.every() && pos >= len(b.job.prompt)-1
		if want && p.wants == 0 {
			break
		}
		if want {
			p.wants--
		}
		p.room--
		n--
		p.rows = append(p.rows, row{seq: b.seq, pos: pos, token: b.tokens[pos], want: want})
	}
	if n := len(p.rows) - first; n > 0 {
		p.spans = append(p.spans, span{b, first, n})
	}
}

// plan fills a batch with the tokens that the branches are waiting for. Running
// answers, which need a token each, come first: a long prompt does not hold
// them up. Prompts divide the rows that are left, and keep up to half of the
// logits for their last tokens. Jobs take turns, so that none waits for another
// that has more to do.
func plan(branches []*branch, lim limits, turn int) ([]row, []span) {
	var answers, prompts []*branch
	for _, b := range turns(branches, turn) {
		if len(b.tokens)-b.done == 1 {
			answers = append(answers, b)
		} else {
			prompts = append(prompts, b)
		}
	}
	p := batch{room: lim.rows, wants: lim.outputs}
	kept := min(len(prompts), max(lim.outputs/2, turn%2)) // with one output in all, every other time
	now := min(len(answers), max(0, lim.outputs-kept))
	for _, b := range answers[:now] {
		p.add(b, 1)
	}
	needs := make([]int, len(prompts))
	for i, b := range prompts {
		needs[i] = len(b.tokens) - b.done
	}
	for i, n := range shares(p.room, needs) {
		p.add(prompts[i], n)
	}
	for _, b := range answers[now:] {
		p.add(b, 1)
	}
	return p.rows, p.spans
}
