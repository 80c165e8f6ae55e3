package llm

import "errors"

// Errors that every Model uses for the same thing. Callers test for them with
// errors.Is; adapters wrap them with the operation and the thing concerned.
var (
	// ErrIncomplete: the answer stopped before its terminal mark. What was
	// received must not be used as an answer, nor kept.
	ErrIncomplete = errors.New("answer is incomplete")

	// ErrContextOverflow: prompt and answer do not fit the model's context.
	ErrContextOverflow = errors.New("prompt does not fit the context")

	// ErrBadRequest: no model could honour the request as it stands.
	ErrBadRequest = errors.New("bad request")

	// ErrUnsupported: this model cannot do what the request asks for.
	ErrUnsupported = errors.ErrUnsupported
)
