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

// chatGPTItem is one conversation: a tree, since questions and answers can be
// asked for anew. CurrentNode is the last message of the branch last shown.
type chatGPTItem struct {
	CurrentNode string                 `json:"current_node"`
	Mapping     map[string]chatGPTNode `json:"mapping"`
}

type chatGPTNode struct {
	Parent  string          `json:"parent"`
	Message *chatGPTMessage `json:"message"`
}

type chatGPTMessage struct {
	Author struct {
		Role string `json:"role"`
	} `json:"author"`
	Recipient string `json:"recipient"`
	Content   struct {
		Type  string            `json:"content_type"`
		Parts []json.RawMessage `json:"parts"`
	} `json:"content"`
	Metadata struct {
		Hidden bool   `json:"is_visually_hidden_from_conversation"`
		Model  string `json:"model_slug"`
	} `json:"metadata"`
}

// parseChatGPT reads the branch that was last shown, up to its last answer. What
// the program itself put in (standing instructions, thoughts) is passed over. The
// conversation ends where a tool or an image comes in, since what follows cannot
// be understood without it.
func parseChatGPT(raw []byte) (dataset.Example, error) {
	var in chatGPTItem
	if err := json.Unmarshal(raw, &in); err != nil {
		return dataset.Example{}, err
	}
	branch, err := in.branch()
	if err != nil {
		return dataset.Example{}, err
	}
	var messages []llm.Message
	var texts [][]string // of each message
	var slugs []string   // of the model, by message
	var cut string
	for _, m := range branch {
		if m.internal() {
			continue
		}
		text, why := m.text()
		if why != "" {
			cut = why
			break
		}
		role := llm.Role(m.Author.Role)
		switch n := len(messages); {
		case text == "":
		case n > 0 && messages[n-1].Role == role: // shown as one
			texts[n-1] = append(texts[n-1], text)
		default:
			messages = append(messages, llm.Message{Role: role})
			texts = append(texts, []string{text})
			slugs = append(slugs, m.Metadata.Model)
		}
	}
	for i := range messages {
		messages[i].Content = strings.Join(texts[i], "\n\n")
	}
	for len(messages) > 0 && messages[len(messages)-1].Role != llm.RoleAssistant {
		messages = messages[:len(messages)-1]
	}
	if len(messages) < 2 {
		return dataset.Example{}, errors.New(strings.TrimSpace("no question with an answer " + cut))
	}
	ex, err := answered(messages)
	ex.Source.Terms = "restricted" // OpenAI's terms have conditions on models made from its answers
	if slug := slugs[len(messages)-1]; slug != "" {
		ex.Source.Models = []string{"openai/" + slug}
	}
	return ex, err
}

// branch returns the messages from the root to the current node.
func (c chatGPTItem) branch() ([]*chatGPTMessage, error) {
	var up []*chatGPTMessage
	id := c.CurrentNode
	for steps := 0; id != ""; steps++ {
		node, ok := c.Mapping[id]
		if !ok {
			return nil, fmt.Errorf("message %q is not there", id)
		}
		if steps > len(c.Mapping) {
			return nil, errors.New("its messages go in a circle")
		}
		if node.Message != nil {
			up = append(up, node.Message)
		}
		id = node.Parent
	}
	slices.Reverse(up)
	return up, nil
}

// internal reports whether m is not part of what was said.
func (m *chatGPTMessage) internal() bool {
	switch m.Content.Type {
	case "thoughts", "reasoning_recap", "user_editable_context", "model_editable_context":
		return true
	}
	return m.Metadata.Hidden || m.Author.Role == string(llm.RoleSystem)
}

// text returns what m says, or why it cannot be used.
func (m *chatGPTMessage) text() (text, why string) {
	toUser := m.Recipient == "" || m.Recipient == "all"
	if m.Author.Role != string(llm.RoleUser) && m.Author.Role != string(llm.RoleAssistant) || !toUser {
		return "", "before a tool is used"
	}
	if m.Content.Type != "text" && m.Content.Type != "multimodal_text" {
		return "", fmt.Sprintf("before content of type %q", m.Content.Type)
	}
	var texts []string
	for _, p := range m.Content.Parts {
		var part string
		if json.Unmarshal(p, &part) != nil {
			return "", "before an image or another attachment"
		}
		texts = append(texts, part)
	}
	return strings.TrimSpace(strings.Join(texts, "\n")), ""
}
