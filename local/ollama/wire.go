package ollama

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// maxLogprobs is how many alternatives the server gives at most.
const maxLogprobs = 20

func chatRequest(name string, req llm.Request, modelStop []string) *api.ChatRequest {
	messages := make([]api.Message, len(req.Messages))
	for i, m := range req.Messages {
		messages[i] = api.Message{Role: string(m.Role), Content: m.Content}
	}
	return &api.ChatRequest{
		Model:    name,
		Messages: messages,
		Options:  options(req.Sampling, modelStop),
		// Left to itself the server drops the oldest messages of a prompt that is
		// too long, and forgets the start of an answer that is.
		Truncate:    new(false),
		Shift:       new(false),
		Logprobs:    req.Logprobs > 0,
		TopLogprobs: min(req.Logprobs, maxLogprobs),
	}
}

// options names every sampling parameter as the server does. The output limit is
// num_predict (num_ctx would resize the context and reload the model).
func options(s llm.Sampling, modelStop []string) map[string]any {
	o := map[string]any{"num_predict": -1}
	if s.MaxOutputTokens > 0 {
		o["num_predict"] = s.MaxOutputTokens
	}
	if s.Temperature != nil {
		o["temperature"] = *s.Temperature
		// The default of 1.1 bends the distribution: with it, temperature 0 is not
		// greedy and 1 is not the model's own.
		o["repeat_penalty"] = 1.0
	}
	if s.TopP != nil {
		o["top_p"] = *s.TopP
	}
	if s.TopK != nil {
		o["top_k"] = *s.TopK
	}
	if s.MinP != nil {
		o["min_p"] = *s.MinP
	}
	if s.Seed != nil {
		// The server keeps 32 bits, and takes -1 as leave to choose a seed.
		o["seed"] = *s.Seed & (1<<31 - 1)
	}
	if len(s.Stop) > 0 {
		// The list replaces the model's own, without which it may not end its turn.
		o["stop"] = append(append([]string{}, s.Stop...), modelStop...)
	}
	return o
}

// stopTexts reads the stop texts out of a model's parameters, which the server
// shows as lines of a name and a quoted value.
func stopTexts(parameters string) (stop []string) {
	for line := range strings.Lines(parameters) {
		value, ok := strings.CutPrefix(line, "stop ")
		if !ok {
			continue
		}
		if s, err := strconv.Unquote(strings.TrimSpace(value)); err == nil {
			stop = append(stop, s)
		}
	}
	return stop
}

func modelInfo(m api.ListModelResponse) ModelInfo {
	return ModelInfo{
		Name:          m.Name,
		Digest:        m.Digest,
		Size:          m.Size,
		Modified:      m.ModifiedAt,
		Family:        m.Details.Family,
		ParameterSize: m.Details.ParameterSize,
		Quantization:  m.Details.QuantizationLevel,
		RemoteHost:    m.RemoteHost,
	}
}

// finishReason returns an error for a reason that is not a regular end. The
// server leaves it empty when the answer was cut off.
func finishReason(r api.ChatResponse, toolCalls bool) (llm.FinishReason, error) {
	switch {
	case r.DoneReason == "stop" && toolCalls:
		return llm.FinishToolCalls, nil
	case r.DoneReason == "stop":
		return llm.FinishStop, nil
	case r.DoneReason == "length":
		return llm.FinishLength, nil
	}
	return "", fmt.Errorf("%w: it ended with reason %q", llm.ErrIncomplete, r.DoneReason)
}

func logprobs(in []api.Logprob) []llm.TokenLogprob {
	var out []llm.TokenLogprob
	for _, lp := range in {
		t := tokenLogprob(lp.TokenLogprob)
		for _, alt := range lp.TopLogprobs {
			t.Top = append(t.Top, tokenLogprob(alt))
		}
		out = append(out, t)
	}
	return out
}

// tokenLogprob prefers the bytes, since part of a UTF-8 sequence does not
// survive as JSON text.
func tokenLogprob(lp api.TokenLogprob) llm.TokenLogprob {
	token := lp.Token
	if len(lp.Bytes) > 0 {
		b := make([]byte, len(lp.Bytes))
		for i, v := range lp.Bytes {
			b[i] = byte(v)
		}
		token = string(b)
	}
	return llm.TokenLogprob{Token: token, Logprob: lp.Logprob}
}
