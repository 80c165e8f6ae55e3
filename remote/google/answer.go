package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	api "google.golang.org/genai"

	"retort/llm"
	"retort/remote"
)

// ownID begins the ID of a call to which the service gave none.
const ownID = "call_"

// answer gathers what the chunks of a stream say.
type answer struct {
	warnings []string
	start    time.Time

	first  time.Duration // to the first text, once there is some
	reason llm.FinishReason
	usage  *api.GenerateContentResponseUsageMetadata
	tools  []llm.ToolCall
}

// take reads one chunk and returns the text in it.
func (a *answer) take(r *api.GenerateContentResponse) (string, error) {
	if r.UsageMetadata != nil {
		a.usage = r.UsageMetadata
	}
	if f := r.PromptFeedback; f != nil && f.BlockReason != "" {
		a.reason = llm.FinishContentFilter
	}
	if len(r.Candidates) == 0 || r.Candidates[0] == nil {
		return "", nil
	}
	var text strings.Builder
	if content := r.Candidates[0].Content; content != nil {
		for _, p := range content.Parts {
			if err := a.part(p, &text); err != nil {
				return "", err
			}
		}
	}
	if text.Len() > 0 && a.first == 0 {
		a.first = time.Since(a.start)
	}
	return text.String(), a.finish(r.Candidates[0].FinishReason)
}

func (a *answer) part(p *api.Part, text *strings.Builder) error {
	switch {
	case p == nil || p.Thought:
	case p.FunctionCall != nil:
		f := p.FunctionCall
		if f.Name == "" {
			return errors.New("it calls a tool without a name")
		}
		args := f.Args
		if args == nil {
			args = map[string]any{}
		}
		raw, err := json.Marshal(args)
		if err != nil {
			return err
		}
		id := f.ID
		if id == "" {
			id = fmt.Sprint(ownID, len(a.tools))
		}
		a.tools = append(a.tools, llm.ToolCall{ID: joinID(id, p.ThoughtSignature), Name: f.Name, Arguments: raw})
	default:
		text.WriteString(p.Text)
	}
	return nil
}

// finish notes why the answer ended, if it has. A reason that is not a regular end
// is an error.
func (a *answer) finish(reason api.FinishReason) error {
	switch reason {
	case "", api.FinishReasonUnspecified:
	case api.FinishReasonStop:
		a.reason = llm.FinishStop
	case api.FinishReasonMaxTokens:
		a.reason = llm.FinishLength
	case api.FinishReasonSafety, api.FinishReasonRecitation, api.FinishReasonLanguage, api.FinishReasonBlocklist,
		api.FinishReasonProhibitedContent, api.FinishReasonSPII:
		a.reason = llm.FinishContentFilter
	default:
		return fmt.Errorf("it ended with reason %q", reason)
	}
	return nil
}

// end yields the tool calls and the end of the answer. The format has no mark but
// the reason, which comes with the last chunk.
func (a *answer) end(ctx context.Context, c *remote.Call, yield func(llm.Event, error) bool) error {
	if a.reason == "" || ctx.Err() != nil {
		return c.Ended(ctx)
	}
	for _, call := range a.tools {
		if !yield(call, nil) {
			return nil
		}
	}
	if len(a.tools) > 0 && a.reason == llm.FinishStop {
		a.reason = llm.FinishToolCalls
	}
	d := llm.Done{FinishReason: a.reason, Warnings: a.warnings, Timing: llm.Timing{FirstToken: a.first, Total: time.Since(a.start)}}
	if u := a.usage; u != nil {
		d.Usage = llm.Usage{InputTokens: int(u.PromptTokenCount + u.ToolUsePromptTokenCount), CachedTokens: int(u.CachedContentTokenCount),
			OutputTokens: int(u.CandidatesTokenCount + u.ThoughtsTokenCount)}
	} else {
		d.Warnings = append(d.Warnings, "usage: the service gave no token counts")
	}
	yield(d, nil)
	return nil
}
