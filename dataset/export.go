package dataset

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"retort/llm"
)

// WriteOpenAI writes examples as JSON lines in OpenAI's fine-tuning format, one
// {"messages": [...]} each, whose last message is the assistant's response. It
// returns how many it wrote, and stops at the first error of the sequence.
func WriteOpenAI(ctx context.Context, w io.Writer, examples iter.Seq2[Example, error]) (n int, err error) {
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false) // for people to read
	for ex, err := range examples {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = enc.Encode(conversation(ex))
		}
		if err != nil {
			return n, fmt.Errorf("export example %d: %w", n+1, err)
		}
		n++
	}
	if err := buf.Flush(); err != nil {
		return n, fmt.Errorf("export: %w", err)
	}
	return n, nil
}

type openAILine struct {
	Messages []llm.Message `json:"messages"`
}

func conversation(ex Example) openAILine {
	messages := make([]llm.Message, 0, len(ex.Messages)+1)
	return openAILine{append(append(messages, ex.Messages...), llm.Assistant(ex.Response))}
}
