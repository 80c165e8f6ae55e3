package llamacpp

import (
	"slices"
	"strings"

	"retort/llm"
)

// textStream turns the tokens of one answer into text events.
type textStream struct {
	utf8     utf8Gate
	stop     stopGate
	lead     string       // taken off the start of the answer if it is there
	thoughts *thoughtGate // nil where the model has none
	call     *callGate    // nil where the answer cannot call tools

	fed, shown int // bytes of text that came in, and that were let out
	logprobs   []placedLogprob
}

// placedLogprob is a log-probability that is shown with the text of its token.
type placedLogprob struct {
	llm.TokenLogprob
	start, end int // in the bytes that were fed
}

// add takes the bytes of a token and its log-probability (nil where none is
// asked for), and returns what may be shown and whether a stop text ended the
// answer.
func (t *textStream) add(piece string, lp *llm.TokenLogprob) (llm.Text, bool) {
	start, held := t.fed, len(t.utf8.held)
	text := t.utf8.add(piece)
	// As many bytes as came in, and what replaced ones that are no UTF-8 adds.
	t.fed += len(text) + len(t.utf8.held) - held
	if lp != nil {
		t.logprobs = append(t.logprobs, placedLogprob{*lp, start, max(start, t.fed)})
	}
	if t.lead != "" && text != "" { // the first text of the answer
		text = t.trimLead(text)
	}
	if t.thoughts != nil {
		text = t.dropThoughts(text)
	}
	show, stopped := t.stop.add(text)
	if t.call != nil {
		if show = t.call.add(show); stopped {
			show += t.call.rest()
		}
	}
	return t.show(show, stopped), stopped
}

// rest returns what is left when no more tokens come, and whether a stop text
// was in it.
func (t *textStream) rest() (llm.Text, bool) {
	text := t.utf8.rest()
	if t.thoughts != nil {
		text = t.dropThoughts(text) + t.thoughts.rest()
	}
	show, stopped := t.stop.add(text)
	if !stopped {
		var more string
		more, stopped = t.stop.rest()
		show += more
	}
	if t.call != nil {
		show = t.call.add(show) + t.call.rest()
	}
	return t.show(show, true), stopped
}

func (t *textStream) trimLead(text string) string {
	after, found := strings.CutPrefix(text, t.lead)
	if found {
		t.shown += len(t.lead)
	}
	t.lead = ""
	return after
}

// dropThoughts takes thoughts out of text, and their tokens out of those that are
// shown.
func (t *textStream) dropThoughts(text string) string {
	show, gone := t.thoughts.add(text)
	if gone > 0 { // nothing was shown yet, for thoughts come first
		t.shown += gone
		t.logprobs = slices.DeleteFunc(t.logprobs, func(lp placedLogprob) bool { return lp.end <= t.shown })
	}
	return show
}

// show pairs text with the log-probabilities of its tokens: of those that are
// whole, or at the end of the answer of those that have begun.
func (t *textStream) show(text string, end bool) llm.Text {
	t.shown += len(text)
	ev := llm.Text{Delta: text}
	n := 0
	for _, lp := range t.logprobs {
		if lp.end > t.shown && (!end || lp.start >= t.shown) {
			break
		}
		ev.Logprobs = append(ev.Logprobs, lp.TokenLogprob)
		n++
	}
	t.logprobs = t.logprobs[n:]
	return ev
}
