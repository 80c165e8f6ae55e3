package trainer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"retort/dataset"
	"retort/llm"
)

// Data says what a run is trained on: the content of data/manifest.json.
type Data struct {
	Examples []string  `json:"examples"`          // IDs, in the order of the lines of train.jsonl
	Tokens   int       `json:"tokens"`            // of all lines
	Digest   string    `json:"digest"`            // "sha256:<hex>" of train.jsonl
	Dropped  []Dropped `json:"dropped,omitempty"` // examples that were too long

	// What Run.Forget took out, by number.
	Forgotten      int `json:"forgotten,omitempty"`       // of Examples
	ForgottenOther int `json:"forgotten_other,omitempty"` // of Dropped and of the held-out questions
}

// Dropped is an example that was left out because it is too long.
type Dropped struct {
	ID     string `json:"id"`
	Tokens int    `json:"tokens"`
}

// row is a line of train.jsonl. The ids come from the engine that will serve
// the model, so training and serving cannot disagree about them.
type row struct {
	Messages       []llm.Message `json:"messages"` // the same for people
	InputIDs       []int32       `json:"input_ids"`
	CompletionMask []uint32      `json:"completion_mask"` // 1 where the loss is taken
}

// freeze turns spec's examples into the lines of train.jsonl.
func freeze(ctx context.Context, spec Spec) ([]byte, Data, error) {
	examples, err := collect(ctx, spec)
	if err != nil {
		return nil, Data{}, err
	}
	var (
		out  bytes.Buffer
		data Data
		enc  = json.NewEncoder(&out)
	)
	enc.SetEscapeHTML(false) // people read it
	for _, ex := range examples {
		if err := ctx.Err(); err != nil {
			return nil, Data{}, err
		}
		row, err := newRow(spec.Tokenizer, ex)
		if err != nil {
			return nil, Data{}, fmt.Errorf("example %s: %w", ex.ID, err)
		}
		if n := len(row.InputIDs); n > spec.Job.Train.MaxLength {
			data.Dropped = append(data.Dropped, Dropped{ex.ID, n})
			continue
		}
		if err := enc.Encode(row); err != nil {
			return nil, Data{}, fmt.Errorf("example %s: %w", ex.ID, err)
		}
		data.Examples = append(data.Examples, ex.ID)
		data.Tokens += len(row.InputIDs)
	}
	if len(data.Examples) == 0 {
		return nil, Data{}, fmt.Errorf("no examples to train on (%d were longer than %d tokens)",
			len(data.Dropped), spec.Job.Train.MaxLength)
	}
	data.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(out.Bytes()))
	return out.Bytes(), data, nil
}

// collect reads the examples, refuses those that the gate must not find in the
// training data, and orders the rest by ID.
func collect(ctx context.Context, spec Spec) ([]dataset.Example, error) {
	held := make(map[string]bool, len(spec.HeldOut))
	for _, it := range spec.HeldOut {
		held[strings.TrimSpace(it.Input)] = true
	}
	var examples []dataset.Example
	for ex, err := range spec.Examples {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return nil, fmt.Errorf("read examples: %w", err)
		}
		switch {
		case len(ex.Messages) == 0:
			return nil, fmt.Errorf("example %s has no messages", ex.ID)
		case ex.Split == dataset.SplitHeldOut:
			return nil, fmt.Errorf("example %s belongs to the held-out side", ex.ID)
		case held[strings.TrimSpace(ex.Messages[len(ex.Messages)-1].Content)]:
			return nil, fmt.Errorf("example %s asks what a held-out item asks", ex.ID)
		}
		examples = append(examples, ex)
	}
	slices.SortStableFunc(examples, func(a, b dataset.Example) int { return cmp.Compare(a.ID, b.ID) })
	return examples, nil
}

func newRow(tok llm.Tokenizer, ex dataset.Example) (row, error) {
	tokens, err := tok.Tokenize(ex.Messages, ex.Response)
	if err != nil {
		return row{}, err
	}
	if len(tokens.Prompt) == 0 || len(tokens.Completion) == 0 {
		return row{}, errors.New("its prompt or response has no tokens")
	}
	ids := slices.Concat(tokens.Prompt, tokens.Completion)
	mask := make([]uint32, len(ids))
	for i := len(tokens.Prompt); i < len(ids); i++ {
		mask[i] = 1
	}
	return row{
		Messages:       append(slices.Clone(ex.Messages), llm.Assistant(ex.Response)),
		InputIDs:       ids,
		CompletionMask: mask,
	}, nil
}
