package llamacpp

import (
	"fmt"
	"slices"
	"strings"

	"retort/llm"
)

// promptTokens renders messages up to the point where the answer begins.
func (m *Model) promptTokens(messages []llm.Message, tools ...llm.Tool) (text string, ids []int32, err error) {
	if text, err = m.template.prompt(messages, tools...); err != nil {
		return "", nil, err
	}
	if ids, err = m.tokens(text); err != nil {
		return "", nil, err
	}
	ids = m.vocab.start(ids)
	if len(ids) == 0 {
		return "", nil, fmt.Errorf("%w: the prompt is empty", llm.ErrBadRequest)
	}
	return text, ids, nil
}

// tokens guards the vocabulary against Close.
func (m *Model) tokens(text string) ([]int32, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return m.vocab.tokens(text)
}

// firstEnd guards the vocabulary against Close, too. It returns the index of the
// first of ids that ends an answer, -1 if none does.
func (m *Model) firstEnd(ids []int32) (int, error) {
	m.life.RLock()
	defer m.life.RUnlock()
	if m.closed {
		return 0, ErrClosed
	}
	return slices.IndexFunc(ids, m.vocab.endsAnswer), nil
}

// Tokenize implements llm.Tokenizer. Prompt and Completion together are the ids
// of the whole rendered conversation up to the end mark of the answer. Where a
// token would reach across the border between the two, Prompt stays what
// Generate decodes, and Completion is tokenized from there.
func (m *Model) Tokenize(messages []llm.Message, completion string) (llm.Tokens, error) {
	if err := m.check(llm.Request{Messages: messages}); err != nil {
		return llm.Tokens{}, m.wrap("tokenize", err)
	}
	head, prompt, err := m.promptTokens(messages)
	if err != nil {
		return llm.Tokens{}, m.wrap("tokenize", err)
	}
	text, err := m.template.closed(head, messages, completion)
	if err != nil {
		return llm.Tokens{}, m.wrap("tokenize", err)
	}
	ids, err := m.behind(prompt, head, text)
	if err != nil {
		return llm.Tokens{}, m.wrap("tokenize", err)
	}
	if ids, err = m.endOnce(ids); err != nil {
		return llm.Tokens{}, m.wrap("tokenize", err)
	}
	return llm.Tokens{Prompt: prompt, Completion: ids}, nil
}

// behind returns the ids of text as it follows the prompt whose text is head.
func (m *Model) behind(prompt []int32, head, text string) ([]int32, error) {
	whole, err := m.tokens(head + text)
	if err != nil {
		return nil, err
	}
	whole = m.vocab.start(whole)
	if len(whole) >= len(prompt) && slices.Equal(whole[:len(prompt)], prompt) {
		return whole[len(prompt):], nil
	}
	return m.tokens(text)
}

// follower returns a function that does what behind does for many texts behind
// the same prompt, without reading the whole prompt again for each: the last
// line of it decides how a text is cut, unless the first text shows otherwise.
func (m *Model) follower(prompt []int32, head string) (func(text string) ([]int32, error), error) {
	line := head[strings.LastIndex(strings.TrimRight(head, "\n"), "\n")+1:]
	lineIDs, err := m.tokens(line)
	if err != nil {
		return nil, err
	}
	lineIDs = m.vocab.start(lineIDs) // as behind does with what it compares
	checked, short := false, false
	return func(text string) ([]int32, error) {
		if checked && !short {
			return m.behind(prompt, head, text)
		}
		ids, err := m.behind(lineIDs, line, text)
		if checked || err != nil {
			return ids, err
		}
		full, err := m.behind(prompt, head, text)
		checked, short = true, slices.Equal(ids, full)
		return full, err
	}, nil
}

// endOnce cuts ids after the first token that ends an answer, and adds one if
// there is none: the model learns from it to stop.
func (m *Model) endOnce(ids []int32) ([]int32, error) {
	i, err := m.firstEnd(ids)
	if err != nil {
		return nil, err
	}
	if i >= 0 {
		return ids[:i+1], nil
	}
	end := m.vocab.eos
	if end == noToken {
		end = m.vocab.eot
	}
	if end == noToken {
		return ids, nil
	}
	return append(slices.Clip(ids), end), nil
}

// closed returns the text of an answer as it follows head, the prompt of messages,
// with what the template puts behind it.
func (t *chatTemplate) closed(head string, messages []llm.Message, answer string) (string, error) {
	whole, err := t.render(append(slices.Clip(messages), llm.Assistant(answer)), nil, false)
	if err != nil {
		return "", err
	}
	if text, ok := strings.CutPrefix(whole, head); ok {
		return text, nil
	}
	// The template writes an answer that is past differently from one that is
	// to come: what the model will see is the latter.
	return t.leadBehind(head) + answer, nil
}

// leadBehind is what an answer begins with behind the prompt head that is no part of
// it. Where the prompt opens thoughts they end there: else the answer would be one.
func (t *chatTemplate) leadBehind(head string) string {
	if opensThoughts(head) {
		return "\n" + thoughtEnd + "\n\n"
	}
	return t.lead
}
