package forms

import (
	"encoding/json"
	"errors"
	"fmt"

	"retort/dataset"
	"retort/llm"
)

type shareGPTItem struct {
	Conversations []shareGPTTurn `json:"conversations"`
}

type shareGPTTurn struct {
	From  string `json:"from"`
	Value string `json:"value"`
}

// speakers are the names that ShareGPT files use.
var speakers = map[string]llm.Role{
	"system": llm.RoleSystem, "human": llm.RoleUser, "user": llm.RoleUser,
	"gpt": llm.RoleAssistant, "assistant": llm.RoleAssistant, "chatgpt": llm.RoleAssistant, "model": llm.RoleAssistant,
	"tool": llm.RoleTool, "observation": llm.RoleTool,
}

func parseShareGPT(raw []byte) (dataset.Example, error) {
	var in struct {
		shareGPTItem
		System string          `json:"system"`
		Tools  json.RawMessage `json:"tools"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return dataset.Example{}, err
	}
	if given(in.Tools) && string(in.Tools) != `""` {
		return dataset.Example{}, errors.New("tools are not supported")
	}
	var messages []llm.Message
	if in.System != "" {
		messages = append(messages, llm.System(in.System))
	}
	for i, turn := range in.Conversations {
		role, ok := speakers[turn.From]
		if !ok {
			return dataset.Example{}, fmt.Errorf("turn %d: unknown speaker %q", i+1, turn.From)
		}
		messages = append(messages, llm.Message{Role: role, Content: turn.Value})
	}
	return answered(messages)
}

type alpacaItem struct {
	System      string      `json:"system,omitempty"`
	Instruction string      `json:"instruction"`
	Input       string      `json:"input"`
	Output      string      `json:"output"`
	History     [][2]string `json:"history,omitempty"`
}

// parseAlpaca joins instruction and input by a line break, as trainers do.
func parseAlpaca(raw []byte) (dataset.Example, error) {
	var in struct {
		alpacaItem
		History [][]string `json:"history"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return dataset.Example{}, err
	}
	ex := dataset.Example{Response: in.Output}
	if in.System != "" {
		ex.Messages = append(ex.Messages, llm.System(in.System))
	}
	for i, turn := range in.History {
		if len(turn) != 2 {
			return ex, fmt.Errorf("history %d: %d texts, want a question and an answer", i+1, len(turn))
		}
		ex.Messages = append(ex.Messages, llm.User(turn[0]), llm.Assistant(turn[1]))
	}
	question := in.Instruction
	if in.Input != "" {
		question += "\n" + in.Input
	}
	if question == "" {
		return ex, errors.New("it has no instruction")
	}
	ex.Messages = append(ex.Messages, llm.User(question))
	return ex, nil
}

// alpaca lays messages out as an instruction with its history, if they are one.
func alpaca(ex dataset.Example) (alpacaItem, bool) {
	out := alpacaItem{Output: ex.Response}
	rest := ex.Messages
	if len(rest) > 0 && rest[0].Role == llm.RoleSystem {
		out.System, rest = rest[0].Content, rest[1:]
		if out.System == "" {
			return out, false // could not be told from none
		}
	}
	for len(rest) > 1 {
		if rest[0].Role != llm.RoleUser || rest[1].Role != llm.RoleAssistant {
			return out, false
		}
		out.History = append(out.History, [2]string{rest[0].Content, rest[1].Content})
		rest = rest[2:]
	}
	if len(rest) != 1 || rest[0].Role != llm.RoleUser || rest[0].Content == "" {
		return out, false
	}
	out.Instruction = rest[0].Content
	return out, true
}
