package bench

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serve answers each path with its text, and keeps what was asked.
func serve(t *testing.T, answers map[string]string) (url string, asked map[string]string) {
	asked = map[string]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := r.Method + " " + r.URL.Path
		asked[key] = string(body)
		answer, ok := answers[key]
		if !ok {
			http.Error(w, "nothing here", http.StatusNotFound)
			return
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

var ask = Ask{Prompt: "one two", Output: 3, TopK: 1, TopP: 1, Seed: 5}

func TestOllama_generate(t *testing.T) {
	const whole = `{"response":" a","done":false}` + "\n" + `{"response":" b","done":false}` + "\n" +
		`{"response":"","done":true,"prompt_eval_count":2,"eval_count":3}` + "\n"
	for name, tc := range map[string]struct{ answer, fault string }{
		"whole":     {whole, ""},
		"cut short": {whole[:strings.LastIndex(whole[:len(whole)-1], "\n")+1], "ended before"},
		"an error":  {`{"error":"out of memory"}`, "out of memory"},
		"no JSON":   {"<html>", "invalid character"},
	} {
		url, asked := serve(t, map[string]string{"POST /api/generate": tc.answer})
		o := Ollama{URL: url, Model: "m", Threads: 2, Context: 64}
		s, err := o.Generate(t.Context(), ask)
		if tc.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%s: error %v, want %q", name, err, tc.fault)
			}
			continue
		}
		if err != nil || s.Input != 2 || s.Output != 3 || s.First <= 0 || s.Total < s.First {
			t.Errorf("%+v, %v", s, err)
		}
		var got struct {
			Raw     bool
			Options map[string]float64
		}
		if err := json.Unmarshal([]byte(asked["POST /api/generate"]), &got); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]float64{"num_predict": 3, "temperature": 0, "top_k": 1, "repeat_penalty": 1, "num_thread": 2, "num_ctx": 64, "seed": 5} {
			if v, ok := got.Options[key]; !ok || v != want {
				t.Errorf("option %s is %v, %t; want %g", key, v, ok, want)
			}
		}
		if !got.Raw {
			t.Error("a template stands between the prompt and the model")
		}
	}
}

func TestOllama_install(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	const blob = "/api/blobs/sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc"
	for _, there := range []bool{false, true} {
		answers := map[string]string{"POST " + blob: "", "POST /api/create": `{"status":"success"}`}
		if there {
			answers["HEAD "+blob] = ""
		}
		url, asked := serve(t, answers)
		o := Ollama{URL: url}
		if err := o.Install(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if _, sent := asked["POST "+blob]; sent == there || !there && asked["POST "+blob] != "abc" {
			t.Errorf("there already: %t; sent: %t", there, sent)
		}
		if o.Model != "retort-bench-ba7816bf8f01" {
			t.Errorf("model %q", o.Model)
		}
	}
	url, _ := serve(t, map[string]string{"HEAD " + blob: "", "POST /api/create": `{"error":"no such architecture"}`})
	if err := (&Ollama{URL: url}).Install(t.Context(), path); err == nil || !strings.Contains(err.Error(), "no such architecture") {
		t.Errorf("error %v", err)
	}
}

func TestCompletions_generate(t *testing.T) {
	const (
		text  = `data: {"choices":[{"text":" a","index":0,"finish_reason":null}]}` + "\n\n"
		end   = `data: {"choices":[{"text":"","index":0,"finish_reason":"length"}]}` + "\n\n"
		stop  = `data: {"choices":[{"text":"","index":1,"finish_reason":"stop"}]}` + "\n\n"
		count = `data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3}}` + "\n\n"
		done  = "data: [DONE]\n\n"
	)
	for name, tc := range map[string]struct {
		n      int
		answer string
		output int
		fault  string
	}{
		"one":                {1, text + end + count + done, 3, ""},
		"two":                {2, text + end + text + end + count + done, 6, ""},
		"one ended early":    {2, text + end + stop + count + done, 3, ""},
		"one has no end":     {2, text + end + count + done, 0, "1 of 2 answers"},
		"cut short":          {1, text + end, 0, "ended before"},
		"an error":           {1, `data: {"error":{"message":"no slot"}}` + "\n\n", 0, "no slot"},
		"what is not a JSON": {1, "data: {\n\n", 0, "unexpected end"},
	} {
		url, asked := serve(t, map[string]string{"POST /v1/completions": tc.answer})
		a := ask
		a.Answers = tc.n
		s, err := (&Completions{URL: url, Model: "m"}).Generate(t.Context(), a)
		if tc.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tc.fault) {
				t.Errorf("%s: error %v, want %q", name, err, tc.fault)
			}
			continue
		}
		if err != nil || s.Output != tc.output || s.Input != 2 || s.First <= 0 || s.Total < s.First {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if sent := asked["POST /v1/completions"]; !strings.Contains(sent, `"ignore_eos":true`) || !strings.Contains(sent, `"samplers":["top_k","top_p","temperature"]`) {
			t.Errorf("asked %s", sent)
		}
	}
}

func TestCompletions_wantsTheSameFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	other := filepath.Join(t.TempDir(), "o.gguf")
	for _, p := range []string{path, other} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const list = `{"data":[{"id":"served"}]}`
	for name, tc := range map[string]struct{ props, says, fault string }{
		"the same":    {`{"model_path":` + quote(path) + `,"build_info":"b1"}`, "llama-server b1", ""},
		"another":     {`{"model_path":` + quote(other) + `}`, "", "not"},
		"it tells no": {`{}`, "unknown; not shown to run the same file", ""},
	} {
		url, _ := serve(t, map[string]string{"GET /v1/models": list, "GET /props": tc.props})
		c := Completions{URL: url}
		says, err := c.Look(t.Context(), path)
		if (err != nil) != (tc.fault != "") || says != tc.says || c.Model != "served" {
			t.Errorf("%s: %q, %v; model %q", name, says, err, c.Model)
		}
	}
}

func quote(s string) string { b, _ := json.Marshal(s); return string(b) }
