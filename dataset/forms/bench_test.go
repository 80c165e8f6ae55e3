package forms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

func thousand() []dataset.Example {
	var out []dataset.Example
	for n := range 1000 {
		out = append(out, dataset.Identify(dataset.Example{
			Messages: []llm.Message{llm.System("Answer briefly."), llm.User(fmt.Sprintf("What is %d plus one?", n))},
			Response: strings.Repeat("Because it is so.\n", 50), QualityScore: 0.9, TaskType: "reasoning",
			UserFeedback: 5, Rejected: []string{"No."}}))
	}
	return out
}

// BenchmarkWrite writes 1,000 examples of 1 KiB; "json" encodes their messages
// and does nothing else.
func BenchmarkWrite(b *testing.B) {
	examples := thousand()
	b.Run("json", func(b *testing.B) {
		var out bytes.Buffer
		for b.Loop() {
			out.Reset()
			enc := json.NewEncoder(&out)
			for _, ex := range examples {
				if err := enc.Encode(append(ex.Messages[:2:2], llm.Assistant(ex.Response))); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.SetBytes(int64(out.Len()))
	})
	for _, form := range forms.Writable() {
		b.Run(string(form), func(b *testing.B) {
			var out bytes.Buffer
			if _, err := write(b.Context(), form, &out, seq(examples)); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(out.Len()))
			for b.Loop() {
				if _, err := write(b.Context(), form, io.Discard, seq(examples)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, form := range forms.Writable() {
		b.Run(string(form), func(b *testing.B) {
			var text bytes.Buffer
			if _, err := write(b.Context(), form, &text, seq(thousand())); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				for _, err := range forms.NewReader(bytes.NewReader(text.Bytes()), form).All() {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
