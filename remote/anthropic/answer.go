package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	api "github.com/anthropics/anthropic-sdk-go"

	"retort/llm"
	"retort/remote"
)

// answer gathers what the events of a stream say.
type answer struct {
	warnings []string
	start    time.Time

	first  time.Duration // to the first text, once there is some
	reason llm.FinishReason
	usage  llm.Usage
	tools  []llm.ToolCall
	inTool bool // the present block is a tool call
}

// take reads one event and returns the text in it; done after the last one.
func (a *answer) take(ev api.MessageStreamEventUnion) (text string, done bool, err error) {
	switch ev.Type {
	case "message_start":
		u := ev.Message.Usage
		a.usage.InputTokens = int(u.InputTokens + u.CacheReadInputTokens + u.CacheCreationInputTokens)
		a.usage.CachedTokens, a.usage.OutputTokens = int(u.CacheReadInputTokens), int(u.OutputTokens)
	case "content_block_start":
		text, err = a.block(ev.ContentBlock)
	case "content_block_delta":
		switch ev.Delta.Type {
		case "text_delta":
			text = ev.Delta.Text
		case "input_json_delta":
			if !a.inTool {
				return "", false, errors.New("arguments without a tool call")
			}
			call := &a.tools[len(a.tools)-1]
			call.Arguments = append(call.Arguments, ev.Delta.PartialJSON...)
		}
	case "message_delta":
		a.usage.OutputTokens = int(ev.Usage.OutputTokens) // of the whole answer so far
		err = a.finish(ev.Delta.StopReason)
	case "message_stop":
		return "", true, nil
	}
	if text != "" && a.first == 0 {
		a.first = time.Since(a.start)
	}
	return text, false, err
}

func (a *answer) block(b api.ContentBlockStartEventContentBlockUnion) (string, error) {
	if a.inTool = b.Type == "tool_use"; a.inTool {
		if b.ID == "" || b.Name == "" {
			return "", errors.New("it calls a tool without a name")
		}
		a.tools = append(a.tools, llm.ToolCall{ID: b.ID, Name: b.Name})
	}
	if b.Type != "text" {
		return "", nil
	}
	return b.Text, nil
}

// finish notes why the answer ends. A reason that is not a regular end is an error.
func (a *answer) finish(reason api.StopReason) error {
	switch reason {
	case "":
	case api.StopReasonEndTurn, api.StopReasonStopSequence:
		a.reason = llm.FinishStop
	case api.StopReasonMaxTokens, api.StopReasonModelContextWindowExceeded:
		a.reason = llm.FinishLength
	case api.StopReasonToolUse:
		a.reason = llm.FinishToolCalls
	case api.StopReasonRefusal:
		a.reason = llm.FinishContentFilter
	default:
		return fmt.Errorf("it ended with reason %q", reason)
	}
	return nil
}

// end yields the tool calls and the end of the answer.
func (a *answer) end(ctx context.Context, c *remote.Call, yield func(llm.Event, error) bool) error {
	switch calls := len(a.tools); {
	case a.reason == "":
		return c.Broken(ctx, 0, errors.New("it ended without a reason"))
	case a.reason == llm.FinishToolCalls && calls == 0:
		return c.Broken(ctx, 0, errors.New("it asks for tools and names none"))
	}
	for _, call := range a.tools {
		if len(call.Arguments) == 0 {
			call.Arguments = json.RawMessage(`{}`)
		}
		if !json.Valid(call.Arguments) {
			return c.Broken(ctx, 0, fmt.Errorf("the arguments for tool %q are not whole", call.Name))
		}
		if !yield(call, nil) {
			return nil
		}
	}
	yield(llm.Done{FinishReason: a.reason, Usage: a.usage, Warnings: a.warnings,
		Timing: llm.Timing{FirstToken: a.first, Total: time.Since(a.start)}}, nil)
	return nil
}
