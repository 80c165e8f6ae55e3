package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
)

// answer gathers what the records of a stream say.
type answer struct {
	logprobsAsked bool
	warnings      []string
	start         time.Time

	first    time.Duration      // to the first text, once there is some
	logprobs []llm.TokenLogprob // of tokens whose text has yet to come
	given    bool               // some log-probabilities came
	refusal  bool               // the model declined in words of its own kind
	tools    tools
	reason   llm.FinishReason
	usage    *api.Usage
}

// record is a chunk, or an error in place of one.
type record struct {
	api.ChatCompletionStreamResponse
	Error json.RawMessage `json:"error"`
}

// take reads one record and returns the text in it.
func (a *answer) take(raw []byte) (llm.Text, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return llm.Text{}, fmt.Errorf("a record is not as expected: %w", err)
	}
	if len(r.Error) > 0 && string(r.Error) != "null" {
		return llm.Text{}, newRecordError(r.Error)
	}
	if r.Usage != nil {
		a.usage = r.Usage
	}
	if len(r.Choices) == 0 {
		return llm.Text{}, nil
	}
	choice := r.Choices[0]
	text := llm.Text{Delta: choice.Delta.Content}
	if choice.Logprobs != nil {
		a.logprobs = append(a.logprobs, logprobs(choice.Logprobs.Content)...)
		a.given = a.given || len(a.logprobs) > 0
	}
	if text.Delta != "" {
		text.Logprobs, a.logprobs = a.logprobs, nil
		if a.first == 0 {
			a.first = time.Since(a.start)
		}
	}
	if err := a.tools.add(choice.Delta.ToolCalls); err != nil {
		return llm.Text{}, err
	}
	a.refusal = a.refusal || choice.Delta.Refusal != ""
	return text, a.finish(choice.FinishReason)
}

// finish notes why the answer ended, if it has. A reason that is not a regular end
// ("error", "insufficient_system_resource") is an error.
func (a *answer) finish(reason api.FinishReason) error {
	switch reason {
	case "", api.FinishReasonNull:
	case api.FinishReasonStop, "eos", "end_turn":
		a.reason = llm.FinishStop
	case api.FinishReasonLength, "model_length":
		a.reason = llm.FinishLength
	case api.FinishReasonToolCalls, api.FinishReasonFunctionCall:
		a.reason = llm.FinishToolCalls
	case api.FinishReasonContentFilter:
		a.reason = llm.FinishContentFilter
	default:
		return fmt.Errorf("it ended with reason %q", reason)
	}
	return nil
}

// done returns the end of an answer with that many tool calls.
func (a *answer) done(calls int) (llm.Done, error) {
	d := llm.Done{
		FinishReason: a.reason,
		Timing:       llm.Timing{FirstToken: a.first, Total: time.Since(a.start)},
		Warnings:     a.warnings,
	}
	switch {
	case a.refusal:
		d.FinishReason = llm.FinishContentFilter
	case calls > 0 && d.FinishReason == llm.FinishStop: // what some servers say
		d.FinishReason = llm.FinishToolCalls
	case calls == 0 && d.FinishReason == llm.FinishToolCalls:
		return d, errors.New("it asks for tools and names none")
	}
	if a.logprobsAsked && !a.given {
		d.Warnings = append(d.Warnings, "logprobs: the service gave none")
	}
	if a.usage == nil {
		d.Warnings = append(d.Warnings, "usage: the service gave no token counts")
		return d, nil
	}
	d.Usage = llm.Usage{InputTokens: a.usage.PromptTokens, OutputTokens: a.usage.CompletionTokens}
	if details := a.usage.PromptTokensDetails; details != nil {
		d.Usage.CachedTokens = details.CachedTokens
	}
	return d, nil
}

func logprobs(in []api.ChatCompletionTokenLogprob) []llm.TokenLogprob {
	var out []llm.TokenLogprob
	for _, lp := range in {
		t := llm.TokenLogprob{Token: token(lp.Token, lp.Bytes), Logprob: lp.Logprob}
		for _, alt := range lp.TopLogprobs {
			t.Top = append(t.Top, llm.TokenLogprob{Token: token(alt.Token, alt.Bytes), Logprob: alt.Logprob})
		}
		out = append(out, t)
	}
	return out
}

// token prefers the bytes, since part of a UTF-8 sequence does not survive as
// JSON text.
func token(text string, raw []int64) string {
	if len(raw) == 0 {
		return text
	}
	b := make([]byte, len(raw))
	for i, v := range raw {
		b[i] = byte(v)
	}
	return string(b)
}

// recordError is an error that came as a record of a stream.
type recordError struct {
	status  int
	message string
}

func (e *recordError) Error() string { return e.message }

// newRecordError reads the shapes in use: OpenAI's object, with a number or a word
// for a code, and a plain string.
func newRecordError(raw json.RawMessage) *recordError {
	var object struct {
		Message string          `json:"message"`
		Code    json.RawMessage `json:"code"`
	}
	e := &recordError{status: 200, message: string(raw)}
	if json.Unmarshal(raw, &object) == nil && object.Message != "" {
		e.message = object.Message
	} else {
		_ = json.Unmarshal(raw, &e.message) // not a string: it stays as it is
	}
	var code int
	if json.Unmarshal(object.Code, &code) == nil && code >= 400 && code < 600 {
		e.status = code
	}
	return e
}
