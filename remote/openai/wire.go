package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
)

// maxLogprobs is how many alternatives the format allows at most.
const maxLogprobs = 20

func chatRequest(name string, req llm.Request) api.ChatCompletionRequest {
	out := api.ChatCompletionRequest{
		Model:         name,
		Stop:          req.Sampling.Stop,
		StreamOptions: &api.StreamOptions{IncludeUsage: true},
		LogProbs:      req.Logprobs > 0,
		TopLogProbs:   min(req.Logprobs, maxLogprobs),
	}
	for _, m := range req.Messages {
		out.Messages = append(out.Messages, api.ChatCompletionMessage{Role: string(m.Role), Content: m.Content})
	}
	if p := req.Sampling.TopP; p != nil {
		out.TopP = float32(*p)
	}
	if seed := req.Sampling.Seed; seed != nil {
		out.Seed = new(int(*seed))
	}
	return out
}

// extra returns the fields that go-openai's request has no right place for.
func extra(s llm.Sampling, host string) map[string]float64 {
	f := map[string]float64{}
	if s.Temperature != nil {
		f["temperature"] = *s.Temperature // it leaves out a zero, which then means 1
	}
	if s.MaxOutputTokens > 0 {
		// The new name is OpenAI's alone; the old one is refused by its new models.
		name := "max_tokens"
		if host == "api.openai.com" {
			name = "max_completion_tokens"
		}
		f[name] = float64(s.MaxOutputTokens)
	}
	return f
}

// unsupported names what the format cannot say.
func unsupported(req llm.Request) (warnings []string) {
	if req.Sampling.TopK != nil {
		warnings = append(warnings, "top_k: not in the OpenAI chat format")
	}
	if req.Sampling.MinP != nil {
		warnings = append(warnings, "min_p: not in the OpenAI chat format")
	}
	if req.Logprobs > maxLogprobs {
		warnings = append(warnings, fmt.Sprintf("logprobs: %d alternatives instead of %d", maxLogprobs, req.Logprobs))
	}
	return warnings
}

// answer gathers what the records of a stream say.
type answer struct {
	asked    int // alternatives per token
	warnings []string
	start    time.Time

	first    time.Duration      // to the first text, once there is some
	logprobs []llm.TokenLogprob // of tokens whose text has yet to come
	given    bool               // some log-probabilities came
	refusal  bool               // the model declined in words of its own kind
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
	if damaged(raw, text.Delta) {
		return llm.Text{}, errors.New("a character was cut in two")
	}
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

func (a *answer) done() llm.Done {
	d := llm.Done{
		FinishReason: a.reason,
		Timing:       llm.Timing{FirstToken: a.first, Total: time.Since(a.start)},
		Warnings:     a.warnings,
	}
	if a.refusal {
		d.FinishReason = llm.FinishContentFilter
	}
	if a.asked > 0 && !a.given {
		d.Warnings = append(d.Warnings, "logprobs: the service gave none")
	}
	if a.usage == nil {
		d.Warnings = append(d.Warnings, "usage: the service gave no token counts")
		return d
	}
	d.Usage = llm.Usage{InputTokens: a.usage.PromptTokens, OutputTokens: a.usage.CompletionTokens}
	if details := a.usage.PromptTokensDetails; details != nil {
		d.Usage.CachedTokens = details.CachedTokens
	}
	return d
}

// damaged reports whether text holds a replacement character that the service did
// not send: decoding puts one in place of half a UTF-8 sequence or half a
// surrogate pair.
func damaged(raw []byte, text string) bool {
	return strings.ContainsRune(text, utf8.RuneError) &&
		!bytes.Contains(raw, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
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
