package llamacpp

import (
	"fmt"
	"slices"

	"retort/llm"
)

// check refuses a request that no model, or not this one, can honour.
func (m *Model) check(req llm.Request) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if m.sched == nil {
		return fmt.Errorf("answers: the model is an encoder, which makes vectors alone: %w", llm.ErrUnsupported)
	}
	if slices.ContainsFunc(req.Messages, func(msg llm.Message) bool { return len(msg.Images) > 0 }) {
		return fmt.Errorf("images: the engine's library comes without libmtmd, which reads them: %w", llm.ErrUnsupported)
	}
	if err := m.Describe().Check(req); err != nil {
		return err
	}
	return checkTools(req)
}
