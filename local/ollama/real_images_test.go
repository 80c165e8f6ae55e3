package ollama_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"

	"retort/llm"
	"retort/local/ollama"
	"retort/local/ollama/ollamatest"
	"retort/models/gguf/gguftest"
)

// TestOllama_images asks SmolLM2 with an image encoder of noise: what it says is
// nonsense that depends on what it was shown.
func TestOllama_images(t *testing.T) {
	const name = "retort-images:latest"
	smol := weights(t, "smollm2-135m-instruct")
	server := ollamatest.Start(t)
	client := connect(t, server, ollama.Options{})
	create(t, client, realName, ollama.CreateOptions{GGUF: smol, Template: chatML, Stop: []string{"<|im_end|>"}})
	createWithProjector(t, server, client, name, smol, gguftest.Projector(t, smol))

	model, err := client.Open(t.Context(), name)
	if err != nil || !model.Describe().Images {
		t.Fatalf("description %+v, error %v, want images", model.Describe(), err)
	}
	ask := func(model llm.Model, images ...llm.Image) llm.Response {
		t.Helper()
		resp, err := llm.Collect(t.Context(), model, showing(images...))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d images, %d tokens: %q", len(images), resp.Usage.InputTokens, resp.Text)
		return resp
	}
	red, stripes := picture(t, func(x, y int) color.Color { return color.RGBA{200, 30, 30, 255} }),
		picture(t, func(x, y int) color.Color { return color.Gray{uint8(255 * (x / 5 % 2))} })
	none, first, other, again, both := ask(model), ask(model, red), ask(model, stripes), ask(model, red), ask(model, red, stripes)
	for _, tc := range []struct {
		resp   llm.Response
		images int
	}{{first, 1}, {other, 1}, {again, 1}, {both, 2}} {
		if got, want := tc.resp.Usage.InputTokens-none.Usage.InputTokens, tc.images*gguftest.ProjectorPatches; got != want {
			t.Errorf("%d images take %d tokens, want %d", tc.images, got, want)
		}
	}
	if first.Text != again.Text || first.Text == other.Text || first.Text == none.Text {
		t.Errorf("red: %q and %q, stripes: %q, nothing: %q; want the answer to depend on the image alone", first.Text, again.Text, other.Text, none.Text)
	}
	broken := showing(llm.Image{MediaType: "image/png", Data: red.Data[:len(red.Data)/2]})
	if resp, err := llm.Collect(t.Context(), model, broken); err == nil {
		t.Errorf("half an image: answer %+v, want an error", resp)
	}

	blind := client.Model(realName) // the server itself would answer about "[img-0]"
	if got := ask(blind); got.Text != none.Text || got.Usage.InputTokens != none.Usage.InputTokens {
		t.Errorf("without an encoder %+v, want the answer to no image %+v", got, none)
	}
	if resp, err := llm.Collect(t.Context(), blind, showing(red)); !errors.Is(err, llm.ErrUnsupported) || !strings.Contains(err.Error(), "images") {
		t.Errorf("without an encoder: answer %+v, error %v, want ErrUnsupported about images", resp, err)
	}
}

func showing(images ...llm.Image) llm.Request {
	return llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Content: "What is this?", Images: images}},
		Sampling: llm.Sampling{Temperature: new(0.0), Seed: new(int64(1)), MaxOutputTokens: 12}}
}

// picture returns a PNG of those pixels.
func picture(t *testing.T, at func(x, y int) color.Color) llm.Image {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.Set(x, y, at(x, y))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return llm.Image{MediaType: "image/png", Data: b.Bytes()}
}

// createWithProjector makes a model of two files, which Client.Create does not.
func createWithProjector(t *testing.T, server ollamatest.Server, client *ollama.Client, name string, paths ...string) {
	t.Helper()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	raw := api.NewClient(base, http.DefaultClient)
	files := map[string]string{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256(data))
		if err := raw.CreateBlob(t.Context(), digest, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("%d.gguf", len(files))] = digest
	}
	req := &api.CreateRequest{Model: name, Files: files, Template: chatML, Parameters: map[string]any{"stop": []string{"<|im_end|>"}}}
	if err := raw.Create(t.Context(), req, func(api.ProgressResponse) error { return nil }); err != nil {
		t.Fatal(err)
	}
	deleteAfter(t, client, name)
}
