package forms

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"retort/dataset"
	"retort/llm"
)

// openWebUIItem is one rating, with a snapshot of the chat it belongs to.
type openWebUIItem struct {
	Data struct {
		Rating  json.RawMessage `json:"rating"` // 1 or -1, as number or text
		ModelID string          `json:"model_id"`
	} `json:"data"`
	Meta struct {
		MessageID string `json:"message_id"`
		Arena     bool   `json:"arena"`
	} `json:"meta"`
	Snapshot struct {
		Chat struct {
			Chat openWebUIChat `json:"chat"`
		} `json:"chat"`
	} `json:"snapshot"`
}

type openWebUIChat struct {
	Params struct {
		System string `json:"system"`
	} `json:"params"`
	History struct {
		Messages map[string]openWebUIMessage `json:"messages"`
	} `json:"history"`
}

type openWebUIMessage struct {
	Parent  string            `json:"parentId"`
	Role    llm.Role          `json:"role"`
	Content string            `json:"content"`
	Model   string            `json:"model"`
	Files   []json.RawMessage `json:"files"`
}

// parseOpenWebUI reads the rated answer and the branch of the chat that leads to
// it. In the arena an answer wins against those beside it, which are Rejected.
func parseOpenWebUI(raw []byte) (dataset.Example, error) {
	var in openWebUIItem
	if err := json.Unmarshal(raw, &in); err != nil {
		return dataset.Example{}, err
	}
	chat := in.Snapshot.Chat.Chat
	messages, err := chat.branch(in.Meta.MessageID)
	if err != nil {
		return dataset.Example{}, err
	}
	ex, err := answered(messages)
	if err != nil {
		return ex, err
	}
	ex.Response = spoken(ex.Response)
	switch strings.Trim(string(in.Data.Rating), `"`) {
	case "1":
		ex.UserFeedback = ThumbUp
		if in.Meta.Arena {
			ex.Rejected = chat.beside(in.Meta.MessageID, ex.Response)
		}
	case "-1":
		ex.UserFeedback = ThumbDown
	default:
		return ex, errors.New("it has no rating")
	}
	model := chat.History.Messages[in.Meta.MessageID].Model
	if model == "" {
		model = in.Data.ModelID
	}
	if model != "" {
		ex.Source.Models = []string{model}
	}
	return ex, nil
}

// branch returns the messages from the first to the one with this id.
func (c openWebUIChat) branch(id string) ([]llm.Message, error) {
	if len(c.History.Messages) == 0 {
		return nil, errors.New("it holds no chat")
	}
	var up []llm.Message
	for id != "" {
		m, ok := c.History.Messages[id]
		if !ok {
			return nil, fmt.Errorf("message %q is not in its chat", id)
		}
		if len(m.Files) > 0 {
			return nil, errors.New("the chat holds files, which are not supported")
		}
		if len(up) > len(c.History.Messages) {
			return nil, errors.New("its messages go in a circle")
		}
		up = append(up, llm.Message{Role: m.Role, Content: spoken(m.Content)})
		id = m.Parent
	}
	if c.Params.System != "" {
		up = append(up, llm.System(c.Params.System))
	}
	slices.Reverse(up)
	return up, nil
}

// beside returns the other answers to the same question, in a fixed order.
func (c openWebUIChat) beside(id, response string) []string {
	parent := c.History.Messages[id].Parent
	var others []string
	for other, m := range c.History.Messages {
		text := spoken(m.Content)
		if other != id && m.Parent == parent && m.Role == llm.RoleAssistant && text != "" && text != response {
			others = append(others, text)
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
}

// spoken takes off the thoughts that Open WebUI folds away before an answer.
func spoken(text string) string {
	for {
		rest, ok := strings.CutPrefix(strings.TrimSpace(text), `<details type="reasoning"`)
		if !ok {
			return strings.TrimSpace(text)
		}
		_, after, closed := strings.Cut(rest, "</details>")
		if !closed {
			return "" // nothing but a thought that was broken off
		}
		text = after
	}
}
