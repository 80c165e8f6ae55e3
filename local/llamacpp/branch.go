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

// plan fills a batch with the tokens that the branches are waiting for, at most
// maxRows of them and at most maxWant with logits. Branches that need a single
// token come first, so that a long prompt does not hold up running answers.
func plan(branches []*branch, maxRows, maxWant int) ([]row, []span) {
	var rows []row
	var spans []span
	add := func(b *branch) {
		first := len(rows)
		for pos := b.done; pos < len(b.tokens) && len(rows) < maxRows; pos++ {
			want := pos == len(b.tokens)-1 || b.job.chooser.every() && pos >= len(b.job.prompt)-1
			if want && maxWant == 0 {
				break
			}
			if want {
				maxWant--
			}
			rows = append(rows, row{seq: b.seq, pos: pos, token: b.tokens[pos], want: want})
		}
		if n := len(rows) - first; n > 0 {
			spans = append(spans, span{b, first, n})
		}
	}
	for _, b := range branches {
		if len(b.tokens)-b.done == 1 {
			add(b)
		}
	}
	for _, b := range branches {
		if len(b.tokens)-b.done > 1 {
			add(b)
		}
	}
	return rows, spans
}
