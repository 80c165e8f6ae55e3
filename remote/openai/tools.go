package openai

import (
	"encoding/json"
	"errors"
	"fmt"

	api "github.com/sashabaranov/go-openai"

	"retort/llm"
)

const maxTools = 128 // calls in one answer

// tools joins the pieces of tool calls, which come under an index each.
type tools []llm.ToolCall

func (t *tools) add(pieces []api.ToolCall) error {
	for _, p := range pieces {
		i := len(*t) // without an index each piece is whole
		if p.Index != nil {
			i = *p.Index
		}
		if i < 0 || i >= maxTools {
			return fmt.Errorf("it calls tool %d", i)
		}
		for len(*t) <= i {
			*t = append(*t, llm.ToolCall{})
		}
		call := &(*t)[i]
		if p.ID != "" {
			call.ID = p.ID
		}
		call.Name += p.Function.Name
		call.Arguments = append(call.Arguments, p.Function.Arguments...)
	}
	return nil
}

// calls returns the whole calls.
func (t tools) calls() ([]llm.ToolCall, error) {
	for i := range t {
		call := &t[i]
		if call.Name == "" {
			return nil, errors.New("it calls a tool without a name")
		}
		if call.ID == "" { // some servers give none
			call.ID = fmt.Sprintf("call_%d", i)
		}
		if len(call.Arguments) == 0 {
			call.Arguments = json.RawMessage(`{}`)
		}
		if !json.Valid(call.Arguments) {
			return nil, fmt.Errorf("the arguments for tool %q are not whole", call.Name)
		}
	}
	return t, nil
}
