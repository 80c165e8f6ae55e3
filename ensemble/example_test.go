package ensemble_test

import (
	"context"
	"fmt"
	"os"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/ensemble"
	"retort/ensemble/routing"
	"retort/llm"
	"retort/llm/llmtest"
)

// A question to several models in five lines: any models, local, remote or
// other ensembles.
func ExampleEnsemble_Query() {
	gpt, claude, gemini := &llmtest.Script{Name: "gpt", Answers: []string{"Agents and small models."}},
		&llmtest.Script{Name: "claude", Answers: []string{"agents and small models"}}, &llmtest.Script{Name: "gemini", Answers: []string{"Bigger models."}}

	ask := llm.Request{Messages: []llm.Message{llm.User("What are the top AI trends?")}}
	e, _ := ensemble.Options{TaskType: "reasoning"}.New(ensemble.BestOfN,
		ensemble.Member{Model: gpt}, ensemble.Member{Model: claude}, ensemble.Member{Model: gemini})
	out, _ := e.Query(context.Background(), ask)
	fmt.Printf("%s\nConfidence: %.0f%%\nCost: $%.4f\n", out.Answer, 100*out.Confidence, out.CostUSD)
	// Output:
	// Agents and small models.
	// Confidence: 67%
	// Cost: $0.0000
}

// Collect what was good, look at it, and export it for training.
func Example_continuousLearning() {
	dir, _ := os.MkdirTemp("", "store")
	defer os.RemoveAll(dir)
	ctx := context.Background()

	store, _ := dataset.Open(dir, dataset.Options{})
	defer store.Close()
	store.Put(ctx, dataset.Example{Messages: []llm.Message{llm.User("Question...")}, Response: "Answer...",
		QualityScore: 0.92, TaskType: "reasoning", ModelsAgreed: true, UserFeedback: 5})
	stats, _ := store.Stats(ctx)
	fmt.Println("Total examples:", stats.Total)
	counts, err := forms.Write(ctx, os.Stdout, forms.Options{Form: forms.OpenAI}, store.All(ctx, dataset.Filter{MinQuality: 0.8}))
	fmt.Println(counts.Written, err)
	// Output:
	// Total examples: 1
	// {"messages":[{"role":"user","content":"Question..."},{"role":"assistant","content":"Answer..."}]}
	// 1 <nil>
}

// Distil: an ensemble answers a list of tasks, and what it is sure of becomes
// training data.
func Example_distil() {
	dir, _ := os.MkdirTemp("", "store")
	defer os.RemoveAll(dir)
	ctx, policy := context.Background(), dataset.DefaultPolicy()
	big, other := &llmtest.Script{Name: "big"}, &llmtest.Script{Name: "other"} // they say what they are asked

	store, _ := dataset.Open(dir, dataset.Options{Policy: policy})
	defer store.Close()
	e, _ := ensemble.Options{AllVotes: true}.New(ensemble.Consensus, ensemble.Member{Model: big}, ensemble.Member{Model: other})
	for _, task := range []string{"Explain machine learning", "Write a sorting algorithm", "Design a REST API"} {
		messages := []llm.Message{llm.User(task)}
		out, err := e.Query(ctx, llm.Request{Messages: messages})
		ex := dataset.Example{Messages: messages, Response: out.Answer, QualityScore: out.Confidence,
			TaskType: routing.Classify(messages), ModelsAgreed: out.Agreed}
		if err == nil && policy.Judge(ex).Keep {
			store.Put(ctx, ex)
		}
	}
	stats, _ := store.Stats(ctx)
	fmt.Println(stats.Total, stats.TaskTypes)
	// Output: 3 map[code:2 reasoning:1]
}
