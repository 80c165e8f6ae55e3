package ollama_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"retort/llm"
	"retort/llm/llmtest"
	"retort/local/ollama"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a server that speaks Ollama's wire format. Its answers come from a
// script; the handlers replace those of their calls as a whole.
type fake struct {
	script   llmtest.Script
	show     string // body of /api/show
	version  string // "0.17.4" if empty
	ps       string // body of /api/ps
	logprobs bool   // as servers from 0.12.11 on
	chat     http.HandlerFunc
	create   http.HandlerFunc
	generate http.HandlerFunc
	pull     http.HandlerFunc

	mu    sync.Mutex
	calls []string                  // method and path of each call
	body  map[string]map[string]any // the last JSON body by path
	blobs map[string][]byte         // by digest
}

// serve starts f and returns a client of it.
func (f *fake) serve(t *testing.T, opts ollama.Options) *ollama.Client {
	t.Helper()
	f.body, f.blobs = map[string]map[string]any{}, map[string][]byte{}
	srv := httptest.NewServer(f)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		srv.Close()
	})
	opts.HTTPClient = &http.Client{Transport: transport}
	client, err := ollama.New(srv.URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (f *fake) model(t *testing.T) *ollama.Model {
	t.Helper()
	return f.serve(t, ollama.Options{}).Model("tiny:latest")
}

func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) lastBody(path string) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.body[path])
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.record(r, raw)
	switch path := r.URL.Path; {
	case path == "/api/version":
		fmt.Fprintf(w, `{"version":%q}`, cmp.Or(f.version, "0.17.4"))
	case path == "/api/tags":
		fmt.Fprint(w, tags)
	case path == "/api/show" && f.show != "":
		fmt.Fprint(w, f.show)
	case path == "/api/show":
		fmt.Fprint(w, `{"template":"{{ .Prompt }}","parameters":"","model_info":{}}`)
	case path == "/api/delete" && strings.Contains(string(raw), "tiny"):
	case path == "/api/delete":
		fail(w, http.StatusNotFound, "model 'x' not found")
	case strings.HasPrefix(path, "/api/blobs/"):
		f.blob(w, r, raw)
	case path == "/api/create" && f.create != nil:
		f.create(w, r)
	case path == "/api/create":
		fmt.Fprint(w, `{"status":"parsing GGUF"}`+"\n"+`{"status":"success"}`+"\n")
	case path == "/api/ps":
		fmt.Fprint(w, cmp.Or(f.ps, `{"models":[]}`))
	case path == "/api/copy":
	case path == "/api/pull":
		f.pull(w, r)
	case path == "/api/generate":
		f.generate(w, r)
	case path == "/api/chat" && f.chat != nil:
		f.chat(w, r)
	case path == "/api/chat":
		f.answer(w, r, raw)
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) record(r *http.Request, raw []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, r.Method+" "+r.URL.Path)
	var body map[string]any
	if json.Unmarshal(raw, &body) == nil {
		f.body[r.URL.Path] = body
	}
}

func (f *fake) blob(w http.ResponseWriter, r *http.Request, raw []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	digest := strings.TrimPrefix(r.URL.Path, "/api/blobs/")
	if r.Method == http.MethodPost {
		f.blobs[digest] = raw
		w.WriteHeader(http.StatusCreated)
	} else if _, ok := f.blobs[digest]; !ok {
		w.WriteHeader(http.StatusNotFound)
	}
}

const tags = `{"models":[
{"name":"tiny:latest","model":"tiny:latest","modified_at":"2026-11-01T10:00:00Z","size":98362432,
 "digest":"0123abcd","details":{"format":"gguf","family":"llama","families":["llama"],"parameter_size":"134.52M","quantization_level":"Q4_1"}},
{"name":"copy:latest","model":"copy:latest","remote_model":"big","remote_host":"https://example.com:443","modified_at":"2026-10-01T10:00:00Z",
 "size":384,"digest":"4567","details":{}},
{"name":"big:120b-cloud","model":"big:120b-cloud","modified_at":"2026-09-01T10:00:00Z","size":384,"digest":"89ab","details":{}}]}`

// wireChat is a chat request as Ollama reads it.
type wireChat struct {
	Messages []struct {
		Role    llm.Role `json:"role"`
		Content string   `json:"content"`
		Images  [][]byte `json:"images"`
	} `json:"messages"`
	Options struct {
		NumPredict int      `json:"num_predict"`
		Stop       []string `json:"stop"`
	} `json:"options"`
	Format      json.RawMessage `json:"format"`
	Logprobs    bool            `json:"logprobs"`
	TopLogprobs int             `json:"top_logprobs"`
}

// request is what the script is asked; images is the tokens that pictures take.
func (c wireChat) request() (req llm.Request, images int) {
	req.Sampling = llm.Sampling{MaxOutputTokens: max(c.Options.NumPredict, 0), Stop: c.Options.Stop}
	for _, m := range c.Messages {
		req.Messages = append(req.Messages, llm.Message{Role: m.Role, Content: m.Content})
		images += 256 * len(m.Images)
	}
	if len(c.Format) > 0 { // the one schema of the exam
		req.Messages = []llm.Message{llm.User(`{"sure": true}`)}
	}
	return req, images
}

// answer streams the script's answer as Ollama would.
func (f *fake) answer(w http.ResponseWriter, r *http.Request, raw []byte) {
	var in wireChat
	if err := json.Unmarshal(raw, &in); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	req, images := in.request()
	for ev, err := range f.script.Generate(r.Context(), req) {
		switch ev := ev.(type) {
		case llm.Text:
			var probs string
			if in.Logprobs && f.logprobs {
				probs = fmt.Sprintf(`,"logprobs":[{"token":%q,"logprob":-0.5,"top_logprobs":[%s]}]`,
					ev.Delta, strings.Repeat(`{"token":"x","logprob":-1},`, in.TopLogprobs-1)+`{"token":"y","logprob":-2}`)
			}
			line(w, fmt.Sprintf(`{"model":"tiny","created_at":%q,"message":{"role":"assistant","content":%q},"done":false%s}`,
				time.Now().Format(time.RFC3339Nano), ev.Delta, probs))
		case llm.Done:
			line(w, done(string(ev.FinishReason), ev.Usage.InputTokens+images, ev.Usage.OutputTokens))
		default:
			line(w, fmt.Sprintf(`{"error":%q}`, err))
		}
	}
}

func text(s string) string {
	return fmt.Sprintf(`{"model":"tiny","created_at":"2026-11-22T10:00:00Z","message":{"role":"assistant","content":%q},"done":false}`, s)
}

func done(reason string, in, out int) string {
	return fmt.Sprintf(`{"model":"tiny","created_at":"2026-11-22T10:00:00Z","message":{"role":"assistant","content":""},`+
		`"done":true,"done_reason":%q,"total_duration":9,"load_duration":1,"prompt_eval_count":%d,"eval_count":%d}`, reason, in, out)
}

// line sends one record at once.
func line(w http.ResponseWriter, s string) {
	fmt.Fprintln(w, s)
	w.(http.Flusher).Flush()
}

// lines is a chat that sends records and then closes cleanly.
func lines(records ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, r := range records {
			line(w, r)
		}
	}
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q}`, message)
}
