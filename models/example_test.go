package models_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"retort/models"
	"retort/models/gguf/gguftest"
)

func Example() {
	dir, err := os.MkdirTemp("", "models")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tiny := gguftest.File{
		Meta:    []gguftest.Pair{{Key: "general.architecture", Value: "llama"}},
		Tensors: []gguftest.Tensor{gguftest.F32("token_embd.weight", []uint64{1, 2}, []float32{1, 2})},
	}
	if err := os.WriteFile(dir+"/tiny.gguf", tiny.Bytes(), 0o600); err != nil {
		log.Fatal(err)
	}

	r, err := models.Open(dir + "/models")
	if err != nil {
		log.Fatal(err)
	}
	m, err := r.Import(context.Background(), dir+"/tiny.gguf", models.ImportOptions{ID: "tiny"})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Use(m.ID); err != nil {
		log.Fatal(err)
	}
	now, err := r.Current()
	fmt.Println(now.ID, now.Architecture, now.Quantization, err)
	// Output: tiny llama F32 <nil>
}
