package forms

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"retort/dataset"
	"retort/llm"
)

// layout writes one example, or says why not.
type layout func(*sink, group) error

// layoutOf returns the layout of a form. It is good for one file.
func layoutOf(form Form) (layout, error) {
	switch form {
	case Retort:
		return func(s *sink, g group) error { return s.write(g.ex) }, nil
	case OpenAI:
		return training(nothing, layConversation(false)), nil
	case TRLSFT:
		return training(images, layConversation(true)), nil
	case TRLPrompt:
		return training(images, layPrompt), nil
	case TRLDPO:
		return layDPO, nil
	case TRLKTO:
		return layKTO(), nil
	case ShareGPT:
		return training(images|tools, layShareGPT), nil
	case Alpaca:
		return training(images|tools, layAlpaca), nil
	case Parquet:
		return layRow, nil
	}
	return nil, fmt.Errorf("the format %q cannot be written", form)
}

// lack is what a form cannot hold.
type lack int

const (
	images lack = 1 << iota
	tools
	nothing lack = 0
)

// refusal returns why a form without l cannot hold ex, or "".
func (l lack) refusal(ex dataset.Example) string {
	for _, m := range ex.Messages {
		if l&images != 0 && len(m.Images) > 0 {
			return reasonImages
		}
		if l&tools != 0 && (len(m.ToolCalls) > 0 || m.ToolCallID != "") {
			return reasonTools
		}
	}
	return ""
}

// training wraps the layout of a form that a model is to imitate.
func training(l lack, lay layout) layout {
	return func(s *sink, g group) error {
		if g.ex.Refused() {
			return s.leaveOut(reasonPoor)
		}
		if why := l.refusal(g.ex); why != "" {
			return s.leaveOut(why)
		}
		return lay(s, g)
	}
}

type outMessage struct {
	Role       llm.Role   `json:"role"`
	Content    any        `json:"content"` // string, or []wirePart
	ToolCalls  []wireCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// outMessages writes the arguments of tool calls as objects, or as strings.
func outMessages(messages []llm.Message, objects bool) []outMessage {
	out := make([]outMessage, 0, len(messages)+1)
	for _, m := range messages {
		o := outMessage{Role: m.Role, Content: m.Content, ToolCallID: m.ToolCallID}
		if len(m.Images) > 0 {
			o.Content = outParts(m)
		}
		for _, c := range m.ToolCalls {
			arguments := c.Arguments
			if !objects {
				arguments, _ = json.Marshal(string(c.Arguments)) // a string always can be
			}
			o.ToolCalls = append(o.ToolCalls, wireCall{c.ID, "function", wireFunction{c.Name, arguments}})
		}
		out = append(out, o)
	}
	return out
}

func outParts(m llm.Message) []wirePart {
	var parts []wirePart
	for _, img := range m.Images {
		url := "data:" + img.MediaType + ";base64," + base64.StdEncoding.EncodeToString(img.Data)
		parts = append(parts, wirePart{Type: "image_url", ImageURL: &wireURL{url}})
	}
	return append(parts, wirePart{Type: "text", Text: &m.Content})
}

func outAnswer(text string) []outMessage {
	return []outMessage{{Role: llm.RoleAssistant, Content: text}}
}

func layConversation(objects bool) layout {
	type line struct {
		Messages []outMessage `json:"messages"`
	}
	return func(s *sink, g group) error {
		return s.write(line{append(outMessages(g.ex.Messages, objects), outAnswer(g.ex.Response)...)})
	}
}

func layPrompt(s *sink, g group) error {
	return s.write(struct {
		Prompt     []outMessage `json:"prompt"`
		Completion []outMessage `json:"completion"`
	}{outMessages(g.ex.Messages, true), outAnswer(g.ex.Response)})
}

func layDPO(s *sink, g group) error {
	if why := images.refusal(g.ex); why != "" {
		return s.leaveOut(why)
	}
	if len(g.worse) == 0 {
		return s.leaveOut(reasonNoPair)
	}
	for _, w := range g.worse {
		err := s.write(struct {
			Prompt   []outMessage `json:"prompt"`
			Chosen   []outMessage `json:"chosen"`
			Rejected []outMessage `json:"rejected"`
		}{outMessages(g.ex.Messages, true), outAnswer(g.ex.Response), outAnswer(w.text)})
		if err != nil {
			return err
		}
	}
	return nil
}

// layKTO labels answers: rated ones by their stars, and both of each pair. It
// remembers what it labelled, since an answer may be in several pairs and an
// example of its own.
func layKTO() layout {
	seen := map[[32]byte]bool{}
	put := func(s *sink, ex dataset.Example, answer string, good bool) error {
		question := questionKey(ex)
		key := sha256.Sum256(append(question[:], answer...))
		if seen[key] {
			return s.leaveOut(reasonTwice)
		}
		seen[key] = true
		return s.write(struct {
			Prompt     []outMessage `json:"prompt"`
			Completion []outMessage `json:"completion"`
			Label      bool         `json:"label"`
		}{outMessages(ex.Messages, true), outAnswer(answer), good})
	}
	return func(s *sink, g group) error {
		if why := images.refusal(g.ex); why != "" {
			return s.leaveOut(why)
		}
		if g.ex.Refused() {
			return put(s, g.ex, g.ex.Response, false)
		}
		if g.ex.UserFeedback < 4 && len(g.worse) == 0 {
			return s.leaveOut(reasonNoPair)
		}
		if err := put(s, g.ex, g.ex.Response, true); err != nil {
			return err
		}
		for _, w := range g.worse {
			if err := put(s, g.ex, w.text, false); err != nil {
				return err
			}
		}
		return nil
	}
}

func layShareGPT(s *sink, g group) error {
	names := map[llm.Role]string{llm.RoleSystem: "system", llm.RoleUser: "human", llm.RoleAssistant: "gpt", llm.RoleTool: "tool"}
	var item shareGPTItem
	for _, m := range append(g.ex.Messages[:len(g.ex.Messages):len(g.ex.Messages)], llm.Assistant(g.ex.Response)) {
		item.Conversations = append(item.Conversations, shareGPTTurn{names[m.Role], m.Content})
	}
	return s.write(item)
}

func layAlpaca(s *sink, g group) error {
	item, ok := alpaca(g.ex)
	if !ok {
		return s.leaveOut(reasonTurns)
	}
	return s.write(item)
}
