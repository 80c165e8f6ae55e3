package ensemble

import "retort/llm"

// Member is a model with its part in an ensemble.
type Member struct {
	Model llm.Model

	// Samples is how many answers are drawn for each question; 0 means 1.
	Samples int

	// Prefixes are conversations (few-shot examples, say) put before the
	// question. Samples are dealt over them in turn, so that they differ in
	// what they were shown. Empty means the question alone.
	Prefixes [][]llm.Message

	// Choices, if any, are the only answers there are. The member then scores
	// them all and draws its samples from that distribution, instead of writing
	// freely; its model must be an llm.Scorer. See Calibrate.
	Choices []string
	prior   prior

	// Quality is what the member is held to be worth, from 0 to 10: the weight
	// of its votes. 0 means 5.
	Quality float64

	// Price is what the provider asks; zero for a local model.
	Price Price
}

// Price is in US dollars for 1,000 tokens.
type Price struct {
	InputPer1K  float64
	OutputPer1K float64
}

// Cost returns what u costs at price p, in US dollars.
func (p Price) Cost(u llm.Usage) float64 {
	return (float64(u.InputTokens)*p.InputPer1K + float64(u.OutputTokens)*p.OutputPer1K) / 1000
}

// cost is what u cost: the provider's own count if it gave one.
func (m Member) cost(u llm.Usage) float64 {
	if u.CostUSD > 0 {
		return u.CostUSD
	}
	return m.Price.Cost(u)
}

// Without a limit of its own an answer is reckoned with this many tokens, and a
// token of the prompt with so few bytes that the reckoning errs upwards.
const (
	longAnswer    = 4096
	bytesPerToken = 3
)

// mostCost is what the member's answers to req can cost, reckoned high.
func (m Member) mostCost(req llm.Request) float64 {
	out := req.Sampling.MaxOutputTokens
	if out == 0 {
		out = longAnswer
	}
	var sum float64
	for _, a := range m.asks(req) {
		in := 0
		for _, msg := range a.req.Messages {
			in += len(msg.Content)/bytesPerToken + 4
		}
		sum += m.Price.Cost(llm.Usage{InputTokens: in * a.n, OutputTokens: out * a.n})
	}
	return sum
}

func (m Member) samples() int { return max(m.Samples, 1) }

func (m Member) weight() float64 {
	if m.Quality <= 0 {
		return 5
	}
	return m.Quality
}

// ask is one batch of samples that share a prompt.
type ask struct {
	req llm.Request
	n   int
}

// asks deals the member's samples over its prefixes, as evenly as they go.
func (m Member) asks(req llm.Request) []ask {
	if len(m.Prefixes) == 0 {
		return []ask{{req, m.samples()}}
	}
	var out []ask
	for i, prefix := range m.Prefixes {
		n := (m.samples() - i + len(m.Prefixes) - 1) / len(m.Prefixes)
		if n <= 0 {
			break
		}
		withPrefix := req
		withPrefix.Messages = append(append([]llm.Message(nil), prefix...), req.Messages...)
		out = append(out, ask{withPrefix, n})
	}
	return out
}
