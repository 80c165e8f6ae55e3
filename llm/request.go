package llm

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Request is one question to a model.
type Request struct {
	Messages []Message // the conversation so far, oldest first; at least one
	Sampling Sampling  // how the answer is drawn; the zero value is the model's default

	// Logprobs asks for the log-probability of each generated token together
	// with that many of the likeliest alternatives; 0 asks for none.
	Logprobs int

	Tools  []Tool  // what the model may ask for; it answers with ToolCall events
	Format *Format // the form that the answer must have; nil leaves it free
}

// Format binds the form of an answer. Exactly one field is set.
type Format struct {
	JSONSchema json.RawMessage // the answer is a JSON value of this schema
	Grammar    string          // the answer matches this GBNF grammar, from its rule "root"
}

// Sampling says how the next token is chosen. A nil field means the model's own
// default.
type Sampling struct {
	Temperature     *float64 // 0 is greedy; 1 is the model's own distribution
	TopP            *float64 // keep the likeliest tokens up to this mass, in (0,1]
	TopK            *int     // keep this many likeliest tokens; 0 keeps all
	MinP            *float64 // drop tokens below this fraction of the likeliest
	Seed            *int64   // equal seeds repeat an answer where the model allows it
	MaxOutputTokens int      // 0 means as many as the context holds
	Stop            []string // texts that end the answer; never part of it
}

// Validate reports the first thing in r that no model could honour. The error
// wraps ErrBadRequest.
func (r Request) Validate() error {
	if len(r.Messages) == 0 {
		return fmt.Errorf("%w: no messages", ErrBadRequest)
	}
	for i, m := range r.Messages {
		if err := m.validate(); err != nil {
			return fmt.Errorf("%w: message %d: %w", ErrBadRequest, i, err)
		}
	}
	for _, t := range r.Tools {
		if t.Name == "" || len(t.Parameters) > 0 && !json.Valid(t.Parameters) {
			return fmt.Errorf("%w: tool %q wants a name and parameters in JSON", ErrBadRequest, t.Name)
		}
	}
	if f := r.Format; f != nil {
		if (len(f.JSONSchema) > 0) == (f.Grammar != "") {
			return fmt.Errorf("%w: a format is either a JSON schema or a grammar", ErrBadRequest)
		}
		if len(f.JSONSchema) > 0 && !json.Valid(f.JSONSchema) {
			return fmt.Errorf("%w: the format's schema is not JSON", ErrBadRequest)
		}
	}
	if r.Logprobs < 0 {
		return fmt.Errorf("%w: logprobs is %d, want 0 or more", ErrBadRequest, r.Logprobs)
	}
	return r.Sampling.validate()
}

func (m Message) validate() error {
	switch {
	case !m.Role.Valid():
		return fmt.Errorf("unknown role %q", m.Role)
	case len(m.Images) > 0 && m.Role != RoleUser:
		return errors.New("images come from the user alone")
	case len(m.ToolCalls) > 0 && m.Role != RoleAssistant:
		return errors.New("tool calls come from the assistant alone")
	}
	return nil
}

func (s Sampling) validate() error {
	switch {
	case s.Temperature != nil && !(*s.Temperature >= 0 && *s.Temperature <= 10):
		return fmt.Errorf("%w: temperature is %g, want 0 to 10", ErrBadRequest, *s.Temperature)
	case s.TopP != nil && !(*s.TopP > 0 && *s.TopP <= 1):
		return fmt.Errorf("%w: top_p is %g, want above 0 and at most 1", ErrBadRequest, *s.TopP)
	case s.TopK != nil && *s.TopK < 0:
		return fmt.Errorf("%w: top_k is %d, want 0 or more", ErrBadRequest, *s.TopK)
	case s.MinP != nil && !(*s.MinP >= 0 && *s.MinP <= 1):
		return fmt.Errorf("%w: min_p is %g, want 0 to 1", ErrBadRequest, *s.MinP)
	case s.MaxOutputTokens < 0:
		return fmt.Errorf("%w: max_output_tokens is %d, want 0 or more", ErrBadRequest, s.MaxOutputTokens)
	}
	for _, stop := range s.Stop {
		if stop == "" {
			return fmt.Errorf("%w: a stop text is empty", ErrBadRequest)
		}
	}
	return nil
}
