package dataset_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"retort/dataset"
	"retort/dataset/forms"
	"retort/llm"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "retort")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := dataset.Open(filepath.Join(dir, "store"), dataset.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	answer := dataset.Example{Messages: []llm.Message{llm.User("2+2?")}, Response: "4", QualityScore: 0.92, TaskType: "reasoning"}
	verdict := dataset.DefaultPolicy().Judge(answer)
	if verdict.Keep {
		if _, err := store.Put(ctx, answer); err != nil {
			log.Fatal(err)
		}
	}

	fmt.Println(verdict.Reason)
	if _, err := forms.Write(ctx, os.Stdout, forms.Options{Form: forms.OpenAI}, store.All(ctx, dataset.Filter{MinQuality: 0.8})); err != nil {
		log.Fatal(err)
	}
	// Output:
	// quality 0.92 is above 0.70
	// {"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4"}]}
}
