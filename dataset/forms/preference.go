package forms

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"retort/dataset"
	"retort/llm"
)

// Stars that stand for a thumb.
const (
	ThumbUp   = 5
	ThumbDown = 1
)

// parsePrompt reads TRL's prompt and completion; both are text, or messages.
func parsePrompt(raw []byte) (dataset.Example, error) {
	ex, _, err := promptAndCompletion(raw)
	return ex, err
}

// parseKTO reads a completion that was labelled good or bad.
func parseKTO(raw []byte) (dataset.Example, error) {
	ex, label, err := promptAndCompletion(raw)
	if err != nil {
		return ex, err
	}
	switch {
	case label == nil:
		return ex, errors.New("no label")
	case *label:
		ex.UserFeedback = ThumbUp
	default:
		ex.UserFeedback = ThumbDown
	}
	return ex, nil
}

func promptAndCompletion(raw []byte) (ex dataset.Example, label *bool, err error) {
	var in struct {
		Prompt     json.RawMessage `json:"prompt"`
		Completion json.RawMessage `json:"completion"`
		Label      *bool           `json:"label"`
		Tools      json.RawMessage `json:"tools"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return ex, nil, err
	}
	if given(in.Tools) {
		return ex, nil, errors.New("tools are not supported")
	}
	if ex.Messages, err = textOrMessages(in.Prompt, llm.RoleUser); err != nil {
		return ex, nil, fmt.Errorf("prompt: %w", err)
	}
	completion, err := textOrMessages(in.Completion, llm.RoleAssistant)
	if err == nil {
		ex.Response, err = answer(completion)
	}
	if err != nil {
		return ex, nil, fmt.Errorf("completion: %w", err)
	}
	return ex, in.Label, nil
}

// parseDPO reads a pair of answers. Without a prompt of its own, the prompt is
// what both conversations begin with.
func parseDPO(raw []byte) (ex dataset.Example, err error) {
	var in struct {
		Prompt   json.RawMessage `json:"prompt"`
		Chosen   json.RawMessage `json:"chosen"`
		Rejected json.RawMessage `json:"rejected"`
		Tools    json.RawMessage `json:"tools"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return ex, err
	}
	if given(in.Tools) {
		return ex, errors.New("tools are not supported")
	}
	chosen, err := textOrMessages(in.Chosen, llm.RoleAssistant)
	if err != nil {
		return ex, fmt.Errorf("chosen: %w", err)
	}
	rejected, err := textOrMessages(in.Rejected, llm.RoleAssistant)
	if err != nil {
		return ex, fmt.Errorf("rejected: %w", err)
	}
	if given(in.Prompt) {
		if ex.Messages, err = textOrMessages(in.Prompt, llm.RoleUser); err != nil {
			return ex, fmt.Errorf("prompt: %w", err)
		}
	} else if ex.Messages, chosen, rejected, err = commonPrompt(chosen, rejected); err != nil {
		return ex, err
	}
	if ex.Response, err = answer(chosen); err != nil {
		return ex, fmt.Errorf("chosen: %w", err)
	}
	worse, err := answer(rejected)
	if err != nil {
		return ex, fmt.Errorf("rejected: %w", err)
	}
	ex.Rejected = []string{worse}
	return ex, nil
}

// commonPrompt takes off the last message of two conversations that are else the same.
func commonPrompt(a, b []llm.Message) (prompt, lastA, lastB []llm.Message, err error) {
	n := len(a) - 1
	if n < 1 || len(b) != len(a) || !slices.EqualFunc(a[:n], b[:n], sameMessage) {
		return nil, nil, nil, errors.New("no prompt, and the two conversations differ before the answer")
	}
	return a[:n], a[n:], b[n:], nil
}

func sameMessage(a, b llm.Message) bool {
	one := dataset.Identify(dataset.Example{Messages: []llm.Message{a}})
	return one.ID == dataset.Identify(dataset.Example{Messages: []llm.Message{b}}).ID
}

// textOrMessages reads a list of messages, or a text that role said.
func textOrMessages(raw json.RawMessage, role llm.Role) ([]llm.Message, error) {
	if !given(raw) {
		return nil, errors.New("it is not there")
	}
	if raw[0] == '"' {
		msg := llm.Message{Role: role}
		err := json.Unmarshal(raw, &msg.Content)
		return []llm.Message{msg}, err
	}
	var in []wireMessage
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	return parseMessages(in)
}
