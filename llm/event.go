package llm

import "time"

// Event is one piece of an answer: a Text, a ToolCall, or the closing Done.
type Event interface{ event() }

// Text is a piece of the answer. Deltas joined in order are the whole answer; a
// UTF-8 sequence is never split between two of them.
type Text struct {
	Delta    string
	Logprobs []TokenLogprob // of the tokens in Delta, if the request asked for them
}

// Done is the terminal mark of a whole answer.
type Done struct {
	FinishReason FinishReason
	Usage        Usage
	Timing       Timing
	Warnings     []string // parts of the request that were not honoured
}

func (Text) event()     {}
func (ToolCall) event() {}
func (Done) event()     {}

// FinishReason says why an answer ended.
type FinishReason string

// The reasons, in the words of the OpenAI chat format.
const (
	FinishStop          FinishReason = "stop"           // the model ended it, or a stop text did
	FinishLength        FinishReason = "length"         // the output limit or the context ended it
	FinishToolCalls     FinishReason = "tool_calls"     // the model asks for tools
	FinishContentFilter FinishReason = "content_filter" // the provider withheld the rest
)

// TokenLogprob is a generated token with its natural-log probability under the
// model's own distribution (before temperature and truncation).
type TokenLogprob struct {
	Token   string         `json:"token"` // the token's text; may be part of a UTF-8 sequence
	Logprob float64        `json:"logprob"`
	Top     []TokenLogprob `json:"top,omitempty"` // likeliest first; at most Request.Logprobs
}

// Usage counts tokens, by the provider's own count where it gives one.
type Usage struct {
	InputTokens  int `json:"input_tokens"`
	CachedTokens int `json:"cached_tokens,omitempty"` // of InputTokens, those not computed anew
	OutputTokens int `json:"output_tokens"`

	// CostUSD is what the provider asks for it: its own count where it gives
	// one, else by the catalogue's price. 0 for a local model.
	CostUSD float64 `json:"cost_usd,omitempty"`
}

// Counted reports whether u can be what a service has counted: every request has
// tokens.
func (u Usage) Counted() bool { return u.InputTokens > 0 && u.OutputTokens >= 0 }

// Add returns the sum of u and v.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.InputTokens + v.InputTokens, u.CachedTokens + v.CachedTokens,
		u.OutputTokens + v.OutputTokens, u.CostUSD + v.CostUSD}
}

// Timing is how long an answer took, as seen by the adapter.
type Timing struct {
	FirstToken time.Duration // from the start of the request to the first token
	Total      time.Duration // to the end of the answer
}
