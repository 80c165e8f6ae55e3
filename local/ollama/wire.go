package ollama

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ollama/ollama/api"

	"retort/llm"
)

// stopTexts reads the stop texts out of a model's parameters, which the server
// shows as lines of a name and a quoted value.
func stopTexts(parameters string) (stop []string) {
	for value := range parameterValues(parameters, "stop") {
		if s, err := strconv.Unquote(value); err == nil {
			stop = append(stop, s)
		}
	}
	return stop
}

// contextLimit reads the context size out of a model's parameters; 0 if they
// leave it to the server.
func contextLimit(parameters string) (n int) {
	for value := range parameterValues(parameters, "num_ctx") {
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			n = int(v)
		}
	}
	return n
}

func parameterValues(parameters, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(parameters) {
			value, ok := strings.CutPrefix(line, name+" ")
			if ok && !yield(strings.TrimSpace(value)) {
				return
			}
		}
	}
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

// chatRecord gives a record of a raw prompt's answer the form of a chat's.
func chatRecord(r api.GenerateResponse) api.ChatResponse {
	return api.ChatResponse{
		RemoteHost: r.RemoteHost,
		Message:    api.Message{Content: r.Response, Thinking: r.Thinking},
		Done:       r.Done,
		DoneReason: r.DoneReason,
		Logprobs:   r.Logprobs,
		Metrics:    r.Metrics,
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

// toolCall gives a call an ID where the server, before 0.12, did not.
func toolCall(call api.ToolCall, n int) llm.ToolCall {
	id := call.ID
	if id == "" {
		id = fmt.Sprintf("call_%d", n)
	}
	return llm.ToolCall{ID: id, Name: call.Function.Name, Arguments: []byte(call.Function.Arguments.String())}
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
