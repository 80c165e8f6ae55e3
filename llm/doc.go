// Package llm is the vocabulary that every part of Retort speaks: messages,
// requests, the events of an answer, and Model, the one central interface.
//
// To ask a model, build a Request and either range over Model.Generate (to see
// the answer as it grows) or call Collect (to have it whole):
//
//	resp, err := llm.Collect(ctx, model, llm.Request{Messages: []llm.Message{llm.User("2+2?")}})
//
// To offer a model, implement Model and run llmtest.TestModel over it. Rare
// abilities (several samples from one prefill, scoring a given text, token ids)
// are small interfaces of their own, found with As, which sees through wrappers.
//
// The package imports nothing of Retort's; everything else may import it.
package llm
