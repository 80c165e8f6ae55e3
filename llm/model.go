package llm

import (
	"context"
	"fmt"
	"iter"
)

// Model answers requests. Local engines, remote services, wrappers and whole
// ensembles all implement it, so a caller never asks which one it holds.
type Model interface {
	// ID is stable and unique ("llamacpp/gemma-3-270m", "ollama/qwen3:8b");
	// every stored example names it.
	ID() string

	// Generate answers req as a sequence of events. It does no work until it is
	// ranged over, and may be ranged over once. A whole answer ends in exactly
	// one Done, which is the last event. An answer that stops short of the
	// provider's own terminal mark yields an error that wraps ErrIncomplete
	// instead. An error is always the last thing yielded, with a nil Event.
	//
	// Breaking out of the range or cancelling ctx stops the work promptly and
	// releases what it held; after cancellation the error wraps ctx.Err().
	//
	// A request that the model cannot honour fails with an error that wraps
	// ErrUnsupported, ErrContextOverflow or ErrBadRequest, or, where the rest of
	// the answer is still worth having, is named in Done.Warnings. Nothing is
	// dropped silently. Generate may be called from several goroutines.
	Generate(ctx context.Context, req Request) iter.Seq2[Event, error]
}

// BatchModel is a Model that can draw several answers to one request for less
// than the price of asking several times (one prefill, one batch).
type BatchModel interface {
	Model

	// GenerateN draws n independent answers and yields each when it is whole,
	// in the order they finish; Response.Index tells which one it is. Sample i
	// uses the seed Sampling.Seed+i when a seed is given. Breaking out cancels
	// those still running. The first error ends the sequence.
	GenerateN(ctx context.Context, req Request, n int) iter.Seq2[Response, error]
}

// Scorer is a Model that can say how likely it finds a given text.
type Scorer interface {
	Model

	// Score returns, for each continuation, the log-probability that the model
	// gives it as the answer to req, in the order of continuations. Sampling
	// parameters are ignored: the score is of the model's own distribution.
	Score(ctx context.Context, req Request, continuations []string) ([]Score, error)
}

// Score is the log-probability of one given continuation.
type Score struct {
	Logprob float64 // sum over the tokens, natural logarithm (nats)
	Tokens  int     // how many tokens were summed
}

// Embedder is a Model that can place texts in a space of meaning.
type Embedder interface {
	Model

	// Embed returns one vector for each text, in their order, all of the same
	// dimension and of length 1: the dot product of two is their cosine
	// similarity. A text longer than the model's context is ErrContextOverflow.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// Tokenizer is a Model that can show the token ids it would read.
type Tokenizer interface {
	Model

	// Tokenize renders messages with the model's chat template up to the point
	// where the answer begins, and completion as it would follow, closed by the
	// model's end-of-turn token. The ids of Prompt are exactly what Generate
	// would decode for the same messages.
	Tokenize(messages []Message, completion string) (Tokens, error)
}

// Tokens are the ids of a prompt and of the completion that follows it.
type Tokens struct {
	Prompt     []int32 `json:"prompt"`
	Completion []int32 `json:"completion"`
}

// Describer is a Model that can state its limits.
type Describer interface {
	Describe() Description
}

// Description holds what callers may need to know before they ask.
type Description struct {
	ContextSize int  // tokens of prompt and answer together; 0 if unknown
	Local       bool // true if a request never leaves this machine
	Images      bool // messages may hold images
	Tools       bool // it can ask for tools
	Logprobs    bool // it gives the log-probability of its tokens
	Formats     bool // it can be bound to a JSON schema
}

// Check returns an error that wraps ErrUnsupported and names the first thing in
// req that a model so described cannot honour. Log-probabilities are left out:
// an answer without them is still worth having, with a warning.
func (d Description) Check(req Request) error {
	for _, m := range req.Messages {
		if len(m.Images) > 0 && !d.Images {
			return fmt.Errorf("images: %w", ErrUnsupported)
		}
		if (len(m.ToolCalls) > 0 || m.Role == RoleTool) && !d.Tools {
			return fmt.Errorf("tool calls: %w", ErrUnsupported)
		}
	}
	switch {
	case len(req.Tools) > 0 && !d.Tools:
		return fmt.Errorf("tools: %w", ErrUnsupported)
	case req.Format != nil && !d.Formats:
		return fmt.Errorf("format: %w", ErrUnsupported)
	}
	return nil
}

// As finds the first model in m's chain of wrappers that is a T. A wrapper
// takes part in the search by having the method Unwrap() Model.
func As[T any](m Model) (T, bool) {
	for m != nil {
		if t, ok := m.(T); ok {
			return t, true
		}
		w, ok := m.(interface{ Unwrap() Model })
		if !ok {
			break
		}
		m = w.Unwrap()
	}
	var zero T
	return zero, false
}
