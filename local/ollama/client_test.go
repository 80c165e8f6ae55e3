package ollama_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"retort/llm"
	"retort/local/ollama"
)

func ExampleClient_Model() {
	client, err := ollama.New(ollama.DefaultURL, ollama.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := llm.Request{Messages: []llm.Message{llm.User("Why is the sky blue?")}}
	for event, err := range client.Model("qwen3:8b").Generate(context.Background(), req) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if text, ok := event.(llm.Text); ok {
			fmt.Print(text.Delta)
		}
	}
}

func TestNew_staysOnThisMachine(t *testing.T) {
	for url, allowed := range map[string]bool{
		"http://127.0.0.1:11434":  true,
		"http://localhost:11434":  true,
		"http://[::1]:11434":      true,
		"http://0.0.0.0:11434":    false,
		"http://192.168.1.5":      false,
		"https://ollama.com":      false,
		"http://localhost.evil":   false,
		"http://user:pw@10.0.0.1": false,
	} {
		_, err := ollama.New(url, ollama.Options{})
		if allowed != (err == nil) || err != nil && !errors.Is(err, ollama.ErrRemote) {
			t.Errorf("%s: error %v, allowed is %t", url, err, allowed)
		}
		if err != nil && (hint(err) == "" || strings.Contains(err.Error(), "pw")) {
			t.Errorf("%s: error %q with hint %q", url, err, hint(err))
		}
		if _, err := ollama.New(url, ollama.Options{AllowRemote: true}); err != nil {
			t.Errorf("%s: allowed, yet %v", url, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:11434", "ftp://127.0.0.1", "http://", "://"} {
		if _, err := ollama.New(bad, ollama.Options{}); err == nil {
			t.Errorf("%q is taken for an address", bad)
		}
	}
}

func TestClient_listsAndDeletes(t *testing.T) {
	client := (&fake{}).serve(t, ollama.Options{})
	models, err := client.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := ollama.ModelInfo{Name: "tiny:latest", Digest: "0123abcd", Size: 98362432,
		Modified: time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC), Family: "llama", ParameterSize: "134.52M", Quantization: "Q4_1"}
	if diff := cmp.Diff(want, models[0]); diff != "" {
		t.Errorf("first model (-want +got):\n%s", diff)
	}
	if len(models) != 3 || models[0].Cloud() || !models[1].Cloud() || !models[2].Cloud() {
		t.Errorf("models %+v, want the second and third to be of the cloud", models)
	}
	if v, err := client.Version(t.Context()); err != nil || v != "0.17.4" {
		t.Errorf("version %q, error %v", v, err)
	}
	if err := client.Delete(t.Context(), "tiny"); err != nil {
		t.Error(err)
	}
	if err := client.Delete(t.Context(), "absent"); !errors.Is(err, ollama.ErrModelNotFound) {
		t.Errorf("error %v, want ErrModelNotFound", err)
	}
}

func TestCreate_sendsEachFileOnce(t *testing.T) {
	f := &fake{generate: lines(`{"model":"x","response":"","done":true,"done_reason":"load"}`)}
	client := f.serve(t, ollama.Options{})
	weights, adapter := write(t, strings.Repeat("GGUF", 1<<16)), write(t, "GGUF adapter")
	var seen []ollama.Progress
	opts := ollama.CreateOptions{GGUF: weights, Adapter: adapter, Template: "{{ .Prompt }}", System: "Be brief.",
		Stop: []string{"<end>"}, Parameters: map[string]any{"repeat_penalty": 1.0}, Progress: func(p ollama.Progress) { seen = append(seen, p) }}
	for range 2 {
		if err := client.Create(t.Context(), "mine", opts); err != nil {
			t.Fatal(err)
		}
	}
	body := f.lastBody("/api/create")
	trial, _ := body["model"].(string)
	delete(body, "model")
	if !strings.HasPrefix(trial, "retort-trial-") || f.lastBody("/api/delete")["model"] != trial {
		t.Errorf("made %q, deleted %v; want a trial that goes", trial, f.lastBody("/api/delete"))
	}
	if diff := cmp.Diff(map[string]any{"source": trial, "destination": "mine"}, f.lastBody("/api/copy")); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
	want := map[string]any{"name": "", "template": "{{ .Prompt }}", "system": "Be brief.",
		"files": map[string]any{"model.gguf": digest(t, weights)}, "adapters": map[string]any{"adapter.gguf": digest(t, adapter)},
		"parameters": map[string]any{"stop": []any{"<end>"}, "repeat_penalty": 1.0}}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if n := strings.Count(strings.Join(f.called(), "\n"), "POST /api/blobs/"); n != 2 {
		t.Errorf("%d uploads, want one of each file", n)
	}
	sent, _ := os.ReadFile(weights)
	if !bytes.Equal(f.blobs[digest(t, weights)], sent) {
		t.Error("the server has other bytes than the file")
	}
	checkProgress(t, seen, weights)
}

func checkProgress(t *testing.T, seen []ollama.Progress, path string) {
	t.Helper()
	last := map[string]ollama.Progress{}
	for _, p := range seen {
		if p.Path == "" || p.Path == path {
			last[p.Stage] = p
		}
	}
	whole := int64(4 << 16)
	for stage, want := range map[string]ollama.Progress{
		"hash":         {Stage: "hash", Path: path, Done: whole, Total: whole},
		"upload":       {Stage: "upload", Path: path, Done: whole, Total: whole},
		"parsing GGUF": {Stage: "parsing GGUF"},
		"success":      {Stage: "success"},
	} {
		if last[stage] != want {
			t.Errorf("last progress of %q is %+v, want %+v", stage, last[stage], want)
		}
	}
}

func TestCreate_faults(t *testing.T) {
	weights := write(t, "GGUF")
	missing := filepath.Join(t.TempDir(), "absent.gguf")
	for name, tc := range map[string]struct {
		create http.HandlerFunc
		gguf   string
		want   string
	}{
		"missing file":       {nil, missing, "absent.gguf: no such file"},
		"early close":        {lines(`{"status":"parsing GGUF"}`), weights, "stopped before it was done"},
		"error inside a 200": {lines(`{"status":"parsing GGUF"}`, `{"error":"invalid file magic"}`), weights, "invalid file magic"},
		"refused":            {status(400, "template error"), weights, "server says 400: template error"},
	} {
		client := (&fake{create: tc.create}).serve(t, ollama.Options{})
		err := client.Create(t.Context(), "mine", ollama.CreateOptions{GGUF: tc.gguf})
		if err == nil || !strings.HasPrefix(err.Error(), `create model "mine": `) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
}

func TestCreate_stopsWithItsContext(t *testing.T) {
	for _, stage := range []string{"hash", "upload", "parsing GGUF"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := &fake{create: func(w http.ResponseWriter, r *http.Request) {
			line(w, `{"status":"parsing GGUF"}`)
			<-r.Context().Done()
		}}
		var last ollama.Progress
		err := f.serve(t, ollama.Options{}).Create(ctx, "mine", ollama.CreateOptions{
			GGUF: write(t, strings.Repeat("GGUF", 1<<18)),
			Progress: func(p ollama.Progress) {
				if last = p; p.Stage == stage {
					cancel()
				}
			}})
		if !errors.Is(err, context.Canceled) || last.Stage != stage || last.Total > 0 && last.Done == last.Total {
			t.Errorf("cancelled during %q: error %v after %+v", stage, err, last)
		}
	}
}

// TestCreate_cancelledLeavesNoTrial is of a context that ends when the server has
// just made the trial model.
func TestCreate_cancelledLeavesNoTrial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &fake{}
	err := f.serve(t, ollama.Options{}).Create(ctx, "mine", ollama.CreateOptions{
		GGUF: write(t, "GGUF"), Adapter: write(t, "GGUF adapter"),
		Progress: func(p ollama.Progress) {
			if p.Stage == "success" {
				cancel()
			}
		}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if made, gone := f.lastBody("/api/create")["model"], f.lastBody("/api/delete")["model"]; made == nil || made != gone {
		t.Errorf("made %v, deleted %v", made, gone)
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.gguf")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func digest(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}
