package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"retort/llm"
	"retort/local/ollama"
	"retort/local/ollama/ollamatest"
	"retort/models"
	"retort/models/gguf/gguftest"
	"retort/models/ollamastore"
)

// ollamaBench is a home with a registry, and a real server of Ollama beside it.
type ollamaBench struct {
	server ollamatest.Server
	reg    *models.Registry
	env    map[string]string
	pieces string // the home of the engine and the starter models
}

func newOllamaBench(t *testing.T, settings ...string) *ollamaBench {
	t.Helper()
	pieces := os.Getenv("RETORT_TEST_HOME")
	if pieces == "" {
		t.Skip("RETORT_TEST_HOME is not set")
	}
	b := &ollamaBench{server: ollamatest.Start(t, settings...), pieces: pieces}
	home := t.TempDir()
	b.env = map[string]string{"RETORT_HOME": home, "RETORT_ENGINE_DIR": filepath.Join(pieces, "engine"),
		"RETORT_OLLAMA_URL": b.server.URL, "OLLAMA_MODELS": b.server.Models}
	if b.server.Models == "" {
		b.env["OLLAMA_MODELS"] = filepath.Join(home, "none")
	}
	var err error
	if b.reg, err = models.Open(filepath.Join(home, "models")); err != nil {
		t.Fatal(err)
	}
	return b
}

// add puts a starter model into the registry, and an adapter of noise over it.
func (b *ollamaBench) add(t *testing.T, id, template string) {
	t.Helper()
	path := starterFile(t, b.pieces, id)
	if _, err := b.reg.Import(t.Context(), path, models.ImportOptions{ID: id, Template: template, Link: true}); err != nil {
		t.Fatal(err)
	}
	spec := models.AdapterSpec{ID: id + "-tuned", Parent: id, File: gguftest.LoRA(t, path, 0.1)}
	if _, err := b.reg.AddAdapter(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
}

// run runs a verb that must succeed.
func (b *ollamaBench) run(t *testing.T, v any, args ...string) (stderr string) {
	t.Helper()
	stderr, code := runJSON(t, b.env, v, args...)
	if code != exitOK {
		t.Fatalf("%q: exit status %d\n%s", args, code, stderr)
	}
	return stderr
}

// runJSON runs a verb with --json in an environment, reads its output, if any,
// into v and returns its stderr and exit status.
func runJSON(t *testing.T, env map[string]string, v any, args ...string) (string, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(name string) (string, bool) { s, ok := env[name]; return s, ok }}
	line := append([]string{"retort"}, append(args, "--json")...)
	code := p.report(t.Context(), p.app().RunContext(t.Context(), hoist(p.app(), line)))
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), v); err != nil {
			t.Fatalf("%q: %v in %s", args, err, stdout.String())
		}
	}
	return stderr.String(), code
}

// TestExport_sends is about what a server is told, without one and without the
// engine.
func TestExport_sends(t *testing.T) {
	for name, tc := range map[string]struct {
		template string
		create   string // the server's answer
		code     int
		says     string
	}{
		"own template":     {polite, `{"status":"success"}`, exitOK, ""},
		"no template":      {"", `{"status":"success"}`, exitOK, ""},
		"beyond a shape":   {"{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}", `{"status":"success"}`, exitOK, "Ollama chooses one by itself"},
		"server refuses":   {polite, `{"error":"no room"}`, exitError, `create model "mine:v1": no room`},
		"server goes away": {polite, `{"status":"parsing GGUF"}`, exitError, "stopped before it was done"},
	} {
		t.Run(name, func(t *testing.T) {
			var sent struct {
				Model, Template string
				Parameters      map[string]any
				Files           map[string]string
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/api/create" {
					if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
						t.Error(err)
					}
					fmt.Fprintln(w, tc.create)
				}
			}))
			defer server.Close()
			home := t.TempDir()
			reg, err := models.Open(filepath.Join(home, "models"))
			if err != nil {
				t.Fatal(err)
			}
			m, err := reg.Import(t.Context(), chatFile(t, tc.template), models.ImportOptions{ID: "mine"})
			if err != nil {
				t.Fatal(err)
			}
			var view exportView
			env := map[string]string{"RETORT_HOME": home, "RETORT_OLLAMA_URL": server.URL}
			stderr, code := runJSON(t, env, &view, "models", "export", "mine", "--to", "ollama:mine:v1", "--no-check")
			if code != tc.code || !strings.Contains(stderr, tc.says) {
				t.Errorf("exit status %d, want %d with %q\n%s", code, tc.code, tc.says, stderr)
			}
			if sent.Model != "mine:v1" || sent.Files["model.gguf"] != m.Digest || sent.Parameters["repeat_penalty"] != 1.0 {
				t.Errorf("sent %+v", sent)
			}
			translated := tc.says != "Ollama chooses one by itself"
			if (sent.Template != "") != translated || (sent.Parameters["stop"] != nil) != translated {
				t.Errorf("sent template %q, stop %v", sent.Template, sent.Parameters["stop"])
			}
			if code == exitOK && (view.To != "ollama/mine:v1" || view.Template != sent.Template || (len(view.Notes) > 0) == translated) {
				t.Errorf("view %+v", view)
			}
		})
	}
}

// export gives a model to the server, and takes it from there after the test.
func (b *ollamaBench) export(t *testing.T, id string, args ...string) (view exportView) {
	t.Helper()
	to := "retort-" + id
	client, err := ollama.New(b.server.URL, ollama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stderr := b.run(t, &view, append([]string{"models", "export", id, "--to", "ollama:" + to}, args...)...)
	t.Cleanup(func() {
		if err := client.Delete(context.Background(), to); err != nil && !errors.Is(err, ollama.ErrModelNotFound) {
			t.Error(err)
		}
	})
	if view.To != "ollama/"+to || !strings.Contains(stderr, "Reading") {
		t.Errorf("view %+v\n%s", view, stderr)
	}
	if c := view.Check; c == nil || c.TokensHere != c.TokensThere || c.TokensHere == 0 || c.Here == "" || c.There == "" {
		t.Errorf("%s: check %+v, want the same prompt and two answers", id, c)
	} else {
		// Kernels differ, so that greedy answers part at a near tie; the adapters of
		// noise make many.
		t.Logf("%s: same answer: %t, %d prompt tokens; %q, %q", id, c.Same, c.TokensHere, c.Here, c.There)
	}
	return view
}

// sameStart holds for answers that part at some near tie, but not at once.
func sameStart(a, b string) bool {
	n := min(len(a), len(b), 8)
	return n > 0 && a[:n] == b[:n]
}

func TestOllama_export(t *testing.T) {
	b := newOllamaBench(t)
	b.add(t, "smollm2-135m-instruct", "")
	t.Run("base", func(t *testing.T) {
		view := b.export(t, "smollm2-135m-instruct")
		if view.Merged != "" || len(view.Notes) > 0 || !sameStart(view.Check.Here, view.Check.There) {
			t.Errorf("view %+v with check %+v, want answers that begin alike", view, view.Check)
		}
		b.sameConversations(t, "smollm2-135m-instruct", view.To)
		b.runInPlace(t, "smollm2-135m-instruct", "")
	})
	t.Run("adapter", func(t *testing.T) {
		if view := b.export(t, "smollm2-135m-instruct-tuned"); view.Merged != "" || len(view.Notes) > 0 {
			t.Errorf("view %+v, want the adapter itself", view)
		}
		b.runInPlace(t, "smollm2-135m-instruct-tuned", "")
	})
}

// TestOllama_exportMerges is about a base over which the server applies no adapter.
func TestOllama_exportMerges(t *testing.T) {
	b := newOllamaBench(t)
	b.add(t, "gemma-3-270m", "plain")
	view := b.export(t, "gemma-3-270m-tuned", "--question", "What is the capital of France? Answer:")
	if view.Merged != "gemma-3-270m-tuned-merged" || len(view.Notes) != 1 || !strings.Contains(view.Notes[0], "merged into its base") {
		t.Errorf("view %+v, want it merged, and said so", view)
	}
	if m, err := b.reg.Get(view.Merged); err != nil || m.Quantization != "Q8_0" || m.Kind != models.KindMerged {
		t.Errorf("merged %+v, error %v", m, err)
	}
	b.sameConversations(t, view.Merged, view.To)
	b.runInPlace(t, view.Merged, "plain")
	again := b.export(t, "gemma-3-270m-tuned", "--merge")
	if again.Merged != view.Merged || len(again.Notes) != 0 {
		t.Errorf("view %+v, want the merged one of before", again)
	}
}

// sameConversations holds that the server writes conversations as the engine
// does, to the letter.
func (b *ollamaBench) sameConversations(t *testing.T, id, to string) {
	t.Helper()
	what, err := b.reg.Resolve(id)
	if err != nil {
		t.Fatal(err)
	}
	chat, err := readChat(what.Base)
	if err != nil {
		t.Fatal(err)
	}
	shape, err := chat.shape(what.Template)
	if err != nil {
		t.Fatal(err)
	}
	talk := []llm.Message{llm.User("Hi {{ .Role }}\n\n\"there\""), llm.Assistant("Hello!"), llm.User("2 < 3? <|x|>"), llm.Assistant("\\n"), llm.User("ok")}
	for _, messages := range [][]llm.Message{talk[:1], talk[:3], talk, append([]llm.Message{llm.System("Be brief.\nBe kind.")}, talk...)} {
		want := shape.Render(turns(messages))
		if got := b.rendered(t, strings.TrimPrefix(to, "ollama/"), messages); got != want {
			t.Errorf("%s reads %q, the engine %q", to, got, want)
		}
	}
}

func turns(messages []llm.Message) (out []ollamastore.Turn) {
	for _, m := range messages {
		out = append(out, ollamastore.Turn{Role: string(m.Role), Content: m.Content})
	}
	return out
}

// rendered asks the server what its model would read.
func (b *ollamaBench) rendered(t *testing.T, name string, messages []llm.Message) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"model": name, "messages": messages, "stream": false, "_debug_render_only": true})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(b.server.URL+"/api/chat", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Debug struct {
			Text string `json:"rendered_template"`
		} `json:"_debug_info"`
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.Debug.Text == "" {
		t.Fatalf("%s: error %v", raw, err)
	}
	return out.Debug.Text
}

// runInPlace runs what export has put into the server's store in the engine: the
// answer is the registry's, to the letter, and so is the template where the file
// or a built-in one has it.
func (b *ollamaBench) runInPlace(t *testing.T, id, template string) {
	t.Helper()
	if b.server.Models == "" {
		t.Log("not run in place: the server's store is not known")
		return
	}
	var list []modelView
	b.run(t, &list, "models", "list")
	var found string
	for _, m := range list {
		if m.Kind == kindStored {
			found = m.ID
		}
	}
	var view storedView
	b.run(t, &view, "models", "show", found)
	if view.Template != template || !strings.HasPrefix(view.Weights, b.server.Models) || view.Remark != "" || len(view.Ignored) > 0 {
		t.Errorf("view %+v, want template %q and a blob of the store", view, template)
	}
	ask := func(id string) string {
		var out outcomeView
		b.run(t, &out, "ensemble", "--members", id, "--input", "Name three colours.", "--temperature", "0", "--max-tokens", "8", "--no-keep")
		return out.Answer
	}
	if want, got := ask(id), ask(found); got != want || want == "" {
		t.Errorf("%s says %q, %s %q", found, got, id, want)
	}
}

// TestOllama_storeOfTheServersOwn runs in place what the server made by itself,
// with a template that it chose and layers that a user adds.
func TestOllama_storeOfTheServersOwn(t *testing.T) {
	b := newOllamaBench(t)
	if b.server.Models == "" {
		t.Skip("the server's store is not known")
	}
	client, err := ollama.New(b.server.URL, ollama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opts := ollama.CreateOptions{GGUF: starterFile(t, b.pieces, "smollm2-135m-instruct"), System: "You are a parrot.", Parameters: map[string]any{"num_ctx": 1024}}
	if err := client.Create(t.Context(), "parrot:v1", opts); err != nil {
		t.Fatal(err)
	}
	var view storedView
	b.run(t, &view, "models", "show", "ollama-store/parrot:v1")
	if view.Template != "chatml" || view.System != "You are a parrot." || len(view.Stop) != 2 || view.Architecture != "llama" {
		t.Errorf("view %+v", view)
	}
	want := b.rendered(t, "parrot:v1", []llm.Message{llm.User("hello")})
	var out outcomeView
	b.run(t, &out, "ensemble", "--members", "ollama-store/parrot:v1,ollama/parrot:v1", "--input", "hello", "--temperature", "0", "--max-tokens", "8", "--no-keep")
	if len(out.Responses) != 2 || !sameStart(out.Responses[0].Response, out.Responses[1].Response) {
		t.Errorf("responses %+v to %q, want both engines to begin alike", out.Responses, want)
	}
	if out.Usage.InputTokens%2 != 0 {
		t.Errorf("%d prompt tokens in all, want the same from both", out.Usage.InputTokens)
	}
}

// TestOllama_modelsPull has the server fetch a model from a registry on this machine.
func TestOllama_modelsPull(t *testing.T) {
	registry := ollamatest.NewRegistry(t)
	b := newOllamaBench(t, registry.Setting())
	digest := registry.Offer(t, "tiny", starterFile(t, b.pieces, "smollm2-135m-instruct"), nil)
	name, ghost := ollamaPrefix+registry.Name("tiny"), ollamaPrefix+registry.Name("ghost")
	offline := maps.Clone(b.env)
	offline["RETORT_OFFLINE"] = "true"
	var view struct{ Model string }
	stderr, code := runJSON(t, offline, &view, "models", "pull", name)
	if code != exitError || view.Model != "" || len(registry.Asked()) > 0 {
		t.Errorf("offline: exit status %d, view %+v, the registry was asked %q\n%s", code, view, registry.Asked(), stderr)
	}
	if stderr, code = runJSON(t, b.env, &view, "models", "pull", ghost); code != exitNoModel || view.Model != "" ||
		!strings.Contains(stderr, registry.Name("ghost")) || !strings.Contains(stderr, "hint: ") {
		t.Errorf("ghost: exit status %d, view %+v\n%s", code, view, stderr)
	}
	if stderr = b.run(t, &view, "models", "pull", name); view.Model != name || !strings.Contains(stderr, "pulling "+digest[7:19]) {
		t.Errorf("view %+v, want %q\n%s", view, name, stderr)
	}
	var out outcomeView
	b.run(t, &out, "ensemble", "--members", name, "--input", "hello", "--temperature", "0", "--max-tokens", "8", "--no-keep")
	if out.Answer == "" {
		t.Errorf("%q gives no answer: %+v", name, out)
	}
}

// TestModelsPull_offline holds that no server is asked: none is there.
func TestModelsPull_offline(t *testing.T) {
	env := map[string]string{"RETORT_HOME": t.TempDir(), "RETORT_OLLAMA_URL": "http://127.0.0.1:1"}
	for setting, says := range map[string]string{"true": "fetching is not allowed", "false": "no server answers"} {
		env["RETORT_OFFLINE"] = setting
		var view struct{ Model string }
		stderr, code := runJSON(t, env, &view, "models", "pull", "ollama/tiny")
		if code != exitError || view.Model != "" || !strings.Contains(stderr, `pull "tiny": `+says) || !strings.Contains(stderr, "hint: ") {
			t.Errorf("RETORT_OFFLINE=%s: exit status %d, view %+v, want %q\n%s", setting, code, view, says, stderr)
		}
	}
}
