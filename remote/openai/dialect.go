package openai

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// dialect is how a service's chat format differs from OpenAI's. The zero value
// sends the least; what a service does not take is never sent, since some refuse
// a request for one word that they do not know.
type dialect struct {
	limit    string // the field for the longest answer
	seed     string // the field for the seed; empty: it takes none
	logprobs int    // most alternatives per token; 0: it gives no log-probabilities
	usage    bool   // it gives token counts only when stream_options ask for them
	schema   bool   // it binds an answer to a JSON schema
	topK     bool
	minP     bool
}

// Plain is the dialect of a server that nothing else is known of.
const Plain = "plain"

// dialects by name, from the services' own references.
var dialects = map[string]dialect{
	"openai":       {limit: "max_completion_tokens", seed: "seed", logprobs: 20, usage: true, schema: true},
	"mistral":      {limit: "max_tokens", seed: "random_seed", schema: true}, // counts come unasked; refuses unknown fields
	"together":     {limit: "max_tokens", seed: "seed", schema: true, topK: true, minP: true, usage: true},
	"huggingface":  {limit: "max_tokens", seed: "seed", logprobs: 5, usage: true, schema: true},
	"deepseek":     {limit: "max_tokens", logprobs: 20, usage: true}, // JSON, but of no given schema
	"vllm":         {limit: "max_tokens", seed: "seed", logprobs: 20, usage: true, schema: true, topK: true, minP: true},
	"llama-server": {limit: "max_tokens", seed: "seed", logprobs: 20, usage: true, schema: true, topK: true, minP: true},
	"lm-studio":    {limit: "max_tokens", seed: "seed", usage: true, schema: true, topK: true},
	Plain:          {limit: "max_tokens", seed: "seed", logprobs: 20, usage: true, schema: true},
}

var dialectOfHost = map[string]string{
	"api.openai.com":        "openai",
	"api.mistral.ai":        "mistral",
	"api.together.xyz":      "together",
	"api.together.ai":       "together",
	"router.huggingface.co": "huggingface",
	"api.deepseek.com":      "deepseek",
}

// Dialects names the dialects that Options.Dialect may hold.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

func dialectOf(name, host string) (dialect, error) {
	if name == "" {
		if name = dialectOfHost[host]; name == "" {
			name = Plain
		}
	}
	d, ok := dialects[name]
	if !ok {
		return d, fmt.Errorf("unknown dialect %q (known: %s)", name, strings.Join(Dialects(), ", "))
	}
	return d, nil
}
