package llm_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"retort/llm"
	"retort/llm/llmtest"
)

// batcher counts how often the batch path was taken.
type batcher struct {
	llmtest.Script
	n int
}

func (b *batcher) GenerateN(ctx context.Context, req llm.Request, n int) iter.Seq2[llm.Response, error] {
	b.n++
	return func(yield func(llm.Response, error) bool) {
		for i := n - 1; i >= 0; i-- { // out of order, as a batch may finish
			if !yield(llm.Response{Index: i, Text: fmt.Sprint(i)}, nil) {
				return
			}
		}
	}
}

type wrapper struct{ llm.Model }

func (w wrapper) Unwrap() llm.Model { return w.Model }

func TestAs_seesThroughWrappers(t *testing.T) {
	inner := &batcher{}
	got, ok := llm.As[llm.BatchModel](wrapper{wrapper{inner}})
	if !ok || got != llm.BatchModel(inner) {
		t.Errorf("As = %v, %v; want the wrapped batcher", got, ok)
	}
	if _, ok := llm.As[llm.Scorer](wrapper{inner}); ok {
		t.Error("As found a Scorer where there is none")
	}
}

func TestCollectN_usesTheBatchAndOrdersIt(t *testing.T) {
	b := &batcher{}
	out, err := llm.CollectN(t.Context(), wrapper{b}, llm.Request{Messages: []llm.Message{llm.User("x")}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range out {
		if r.Text != fmt.Sprint(i) {
			t.Errorf("sample %d is %q", i, r.Text)
		}
	}
	if b.n != 1 {
		t.Errorf("%d batches, want 1", b.n)
	}
}

func TestGenerateN_givesEachSampleItsSeed(t *testing.T) {
	s := &llmtest.Script{}
	req := llm.Request{Messages: []llm.Message{llm.User("x")}, Sampling: llm.Sampling{Seed: new(int64(10))}}
	if _, err := llm.CollectN(t.Context(), s, req, 3); err != nil {
		t.Fatal(err)
	}
	for i, r := range s.Requests() {
		if *r.Sampling.Seed != int64(10+i) {
			t.Errorf("sample %d has seed %d", i, *r.Sampling.Seed)
		}
	}
}

func ExampleCollect() {
	model := &llmtest.Script{Answers: []string{"4"}} // any llm.Model
	resp, err := llm.Collect(context.Background(), model, llm.Request{Messages: []llm.Message{llm.User("2+2?")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Text, resp.FinishReason)
	// Output: 4 stop
}
