package forms

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"retort/dataset"
	"retort/llm"
)

// wireMessage is a message as OpenAI and TRL write it.
type wireMessage struct {
	Role         llm.Role        `json:"role"`
	Content      json.RawMessage `json:"content"`
	ToolCalls    []wireCall      `json:"tool_calls,omitempty"`
	ToolCallID   string          `json:"tool_call_id,omitempty"`
	FunctionCall json.RawMessage `json:"function_call,omitempty"` // OpenAI's old form, refused
}

type wireCall struct {
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type"`
	Function wireFunction `json:"function"`
}

// wireFunction has its arguments as a string (OpenAI) or as an object (TRL).
type wireFunction struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// wirePart is a piece of content.
type wirePart struct {
	Type     string   `json:"type"`
	Text     *string  `json:"text,omitempty"`
	ImageURL *wireURL `json:"image_url,omitempty"`
}

type wireURL struct {
	URL string `json:"url"`
}

// parseConversation reads {"messages": [...]}. Content may be a string or a list
// of parts; images are taken to stand before the text.
func parseConversation(raw []byte) (dataset.Example, error) {
	var in struct {
		Messages  []wireMessage   `json:"messages"`
		Tools     json.RawMessage `json:"tools"`
		Functions json.RawMessage `json:"functions"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return dataset.Example{}, err
	}
	if given(in.Tools) || given(in.Functions) {
		return dataset.Example{}, errors.New("tools are not supported")
	}
	messages, err := parseMessages(in.Messages)
	if err != nil {
		return dataset.Example{}, err
	}
	return answered(messages)
}

// answered makes an example of messages, the last of which is its response.
func answered(messages []llm.Message) (dataset.Example, error) {
	if len(messages) < 2 {
		return dataset.Example{}, fmt.Errorf("%d messages, want a question and an answer", len(messages))
	}
	response, err := answer(messages[len(messages)-1:])
	return dataset.Example{Messages: messages[:len(messages)-1], Response: response}, err
}

// answer returns the text of the one message that messages should be.
func answer(messages []llm.Message) (string, error) {
	if len(messages) != 1 {
		return "", fmt.Errorf("%d messages as answer, want one", len(messages))
	}
	m := messages[0]
	switch {
	case m.Role != llm.RoleAssistant:
		return "", fmt.Errorf("the last message is by %q, want %q", m.Role, llm.RoleAssistant)
	case len(m.ToolCalls) > 0:
		return "", errors.New("the answer is a tool call, which is not supported")
	case len(m.Images) > 0:
		return "", errors.New("the answer is an image, which is not supported")
	}
	return m.Content, nil
}

func parseMessages(in []wireMessage) ([]llm.Message, error) {
	messages := make([]llm.Message, 0, len(in))
	for i, m := range in {
		msg, err := m.parse()
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i+1, err)
		}
		messages = append(messages, msg)
	}
	return messages, nil
}

func (m wireMessage) parse() (llm.Message, error) {
	if !m.Role.Valid() {
		return llm.Message{}, fmt.Errorf("unknown role %q", m.Role)
	}
	if given(m.FunctionCall) {
		return llm.Message{}, errors.New("function_call is not supported, tool_calls are")
	}
	msg := llm.Message{Role: m.Role, ToolCallID: m.ToolCallID}
	for _, c := range m.ToolCalls {
		call, err := c.parse()
		if err != nil {
			return msg, err
		}
		msg.ToolCalls = append(msg.ToolCalls, call)
	}
	if !given(m.Content) && len(msg.ToolCalls) > 0 {
		return msg, nil
	}
	return msg, parseContent(m.Content, &msg)
}

func (c wireCall) parse() (llm.ToolCall, error) {
	arguments := []byte(c.Function.Arguments)
	if len(arguments) > 0 && arguments[0] == '"' {
		var text string
		if err := json.Unmarshal(arguments, &text); err != nil {
			return llm.ToolCall{}, err
		}
		arguments = []byte(text)
	}
	// In the form in which the store keeps it, so that the identity stays.
	var compact, escaped bytes.Buffer
	if err := json.Compact(&compact, arguments); err != nil || !bytes.HasPrefix(compact.Bytes(), []byte("{")) {
		return llm.ToolCall{}, errors.New("the arguments of a tool call are no JSON object")
	}
	json.HTMLEscape(&escaped, compact.Bytes())
	if c.Function.Name == "" || c.Type != "" && c.Type != "function" {
		return llm.ToolCall{}, errors.New("a tool call is not that of a function with a name")
	}
	return llm.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: escaped.Bytes()}, nil
}

// parseContent reads a string, or the list of parts that may stand for one.
func parseContent(raw json.RawMessage, msg *llm.Message) error {
	if !given(raw) {
		return errors.New("no content")
	}
	if raw[0] == '"' {
		return json.Unmarshal(raw, &msg.Content)
	}
	var parts []wirePart
	if err := json.Unmarshal(raw, &parts); err != nil {
		return errors.New("content is neither text nor a list of parts")
	}
	var text strings.Builder
	for _, p := range parts {
		switch {
		case p.Type == "text" && p.Text != nil:
			text.WriteString(*p.Text)
		case p.Type == "image_url" && p.ImageURL != nil:
			img, err := parseDataURL(p.ImageURL.URL)
			if err != nil {
				return err
			}
			msg.Images = append(msg.Images, img)
		default:
			return fmt.Errorf("content of type %q is not supported", p.Type)
		}
	}
	msg.Content = text.String()
	return nil
}

func parseDataURL(url string) (llm.Image, error) {
	rest, ok := strings.CutPrefix(url, "data:")
	mediaType, text, based := strings.Cut(rest, ";base64,")
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || !based || err != nil || len(data) == 0 || !strings.HasPrefix(mediaType, "image/") {
		return llm.Image{}, errors.New("an image is not in the file itself, as base64")
	}
	return llm.Image{MediaType: mediaType, Data: data}, nil
}

// given reports whether a field was there, and not null.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
