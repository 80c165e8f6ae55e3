package llm

import "encoding/json"

// Role says who speaks in a Message.
type Role string

// The four roles of a conversation, in the words that chat templates use.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Valid reports whether r is one of the four known roles.
func (r Role) Valid() bool {
	switch r {
	case RoleSystem, RoleUser, RoleAssistant, RoleTool:
		return true
	}
	return false
}

// Message is one utterance of a conversation. Its JSON form is the one of the
// OpenAI chat format.
type Message struct {
	Role       Role       `json:"role"`
	Content    string     `json:"content"`
	Images     []Image    `json:"images,omitempty"`       // shown before Content; from the user alone
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`   // what an assistant asked for
	ToolCallID string     `json:"tool_call_id,omitempty"` // the call that a tool's message answers
}

// Image is a picture in a message.
type Image struct {
	MediaType string `json:"media_type"` // "image/png", "image/jpeg", "image/webp" or "image/gif"
	Data      []byte `json:"data"`       // the file's bytes; base64 in JSON
}

// Tool is a function that a model may ask the caller to run.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // JSON schema of the arguments; an object
}

// ToolCall is a model's wish to have a Tool run.
type ToolCall struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"` // a JSON object
}

// System returns a message with standing instructions for the model.
func System(text string) Message { return Message{Role: RoleSystem, Content: text} }

// User returns a message from the person who asks.
func User(text string) Message { return Message{Role: RoleUser, Content: text} }

// Assistant returns a message that a model gave, or is shown as having given.
func Assistant(text string) Message { return Message{Role: RoleAssistant, Content: text} }
