package llm

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
	Role    Role   `json:"role"`
	Content string `json:"content"`
}

// System returns a message with standing instructions for the model.
func System(text string) Message { return Message{Role: RoleSystem, Content: text} }

// User returns a message from the person who asks.
func User(text string) Message { return Message{Role: RoleUser, Content: text} }

// Assistant returns a message that a model gave, or is shown as having given.
func Assistant(text string) Message { return Message{Role: RoleAssistant, Content: text} }
