package gguf_test

import (
	"fmt"
	"log"
	"os"

	"retort/models/gguf"
)

func ExampleCheck() {
	f, err := os.CreateTemp("", "*.gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(f.Name())
	fmt.Fprint(f, "<html>not found</html>")
	f.Close()
	err = gguf.Check(f.Name())
	fmt.Println(err != nil)
	// Output: true
}
