package ollama_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"retort/llm"
	"retort/local/ollama"
)

// timed is an answer whose measures the server gives in seconds.
func timed(total, load, prompt, eval float64) string {
	ns := func(s float64) int64 { return int64(s * 1e9) }
	return fmt.Sprintf(`{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":1,`+
		`"total_duration":%d,"load_duration":%d,"prompt_eval_duration":%d,"eval_duration":%d}`, ns(total), ns(load), ns(prompt), ns(eval))
}

func TestAdvice(t *testing.T) {
	type ask struct {
		model  string
		answer string
	}
	for name, tc := range map[string]struct {
		asks     []ask
		together bool
		opts     ollama.Options
		holds    string   // what the server has in memory at the end
		want     []string // in the sentences, in turn
	}{
		"one":               {[]ask{{"a", timed(9, 5, 1, 3)}}, false, ollama.Options{}, "", nil},
		"kept in memory":    {[]ask{{"a", timed(9, 5, 1, 3)}, {"b", timed(9, 5, 1, 3)}, {"a", timed(4, 0.05, 1, 2.9)}}, false, ollama.Options{}, "", nil},
		"answered together": {[]ask{{"a", timed(3, 0, 1, 2)}, {"a", timed(3, 0, 1, 1.9)}}, true, ollama.Options{}, "", nil},
		"one after the other": {[]ask{{"a", timed(3, 0, 1, 2)}, {"a", timed(6, 0, 1, 2)}, {"a", timed(9, 0, 1, 2)}}, true, ollama.Options{}, "",
			[]string{"2 of 3 requests wait for others to the same model, the longest 6s: start it with OLLAMA_NUM_PARALLEL=3"}},
		"pushed out": {[]ask{{"a", timed(4, 1, 1, 2)}, {"b", timed(4, 1, 1, 2)}, {"a", timed(4, 1.5, 1, 1.5)}}, false, ollama.Options{}, "b",
			[]string{"loaded a again, 1.5s in all", "OLLAMA_MAX_LOADED_MODELS=2"}},
		"unloaded as wished": {[]ask{{"a", timed(4, 1, 1, 2)}, {"a", timed(4, 1, 1, 2)}}, false, ollama.Options{KeepAlive: new(time.Duration(0))}, "", nil},
		"given up":           {[]ask{{"a", timed(0.9, 0.3, 0.3, 0.3)}, {"b", timed(0.001, 0.4, 0, 0)}}, false, ollama.Options{}, "b", []string{"holds a no longer", "OLLAMA_MAX_LOADED_MODELS=2"}},
		"both held":          {[]ask{{"a", timed(0.9, 0.3, 0.3, 0.3)}, {"b", timed(0.001, 0.4, 0, 0)}}, false, ollama.Options{}, "a b", nil},
		"none held":          {[]ask{{"a", timed(0.9, 0.3, 0.3, 0.3)}, {"b", timed(0.001, 0.4, 0, 0)}}, false, ollama.Options{}, "", nil},
		"one of two names":   {[]ask{{"a", timed(0.9, 0.3, 0.3, 0.3)}, {"b", timed(0.6, 0.001, 0.3, 0.3)}}, false, ollama.Options{}, "a", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived sync.WaitGroup
			if tc.together {
				arrived.Add(len(tc.asks))
			}
			answers := make(chan string, len(tc.asks))
			var held []string
			for _, name := range strings.Fields(tc.holds) {
				held = append(held, fmt.Sprintf(`{"name":"%s:latest"}`, name))
			}
			f := &fake{ps: `{"models":[` + strings.Join(held, ",") + `]}`, chat: func(w http.ResponseWriter, _ *http.Request) {
				if tc.together {
					arrived.Done()
					arrived.Wait()
				}
				line(w, <-answers)
			}}
			client := f.serve(t, tc.opts)
			var wg sync.WaitGroup
			for _, a := range tc.asks {
				answers <- a.answer
				do := func() {
					if _, err := llm.Collect(t.Context(), client.Model(a.model), hello); err != nil {
						t.Error(err)
					}
				}
				if tc.together {
					wg.Go(do)
				} else {
					do()
				}
			}
			wg.Wait()
			got := strings.Join(client.Advice(t.Context()), "\n")
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("advice %q, want %q", got, want)
				}
			}
			if len(tc.want) == 0 && got != "" {
				t.Errorf("advice without evidence: %q", got)
			}
			if tc.opts.KeepAlive != nil && f.lastBody("/api/chat")["keep_alive"] == nil {
				t.Error("keep_alive is not sent")
			}
		})
	}
}
