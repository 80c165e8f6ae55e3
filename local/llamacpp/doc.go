// Package llamacpp answers requests with GGUF models inside this process,
// through the llama.cpp library that it loads at run time.
//
// Find an installed library with [Find] (or fetch one with [Download]), open it
// with [Load] once per process, and open models with [Engine.Open]:
//
//	engine, err := llamacpp.Load(dir)
//	model, err := engine.Open(ctx, "model.gguf", llamacpp.Options{ID: "llamacpp/model"})
//	defer model.Close()
//
// A [Model] is an llm.Model and more: an llm.BatchModel, llm.Scorer,
// llm.Embedder, llm.Tokenizer and llm.Describer. Any number of goroutines may use it. One
// goroutine of the Model's own decodes for all of them, one batch after the
// other, out of the prompts that are still to be read and the next token of each
// running answer. What requests share is computed once: the beginning of their
// prompts, which stays cached, and the samples of one request for as long as
// they agree.
//
// Models of the same file stand on one copy of its weights, so a base and its
// adapters side by side cost little more than one. Open refuses what the memory
// that is free does not hold; a [Pool] makes room for it instead, by unloading
// models that are idle. What the engine chooses from the machine it tells
// ([Engine.Settings], [Model.Settings]).
//
// No request keeps the others waiting: they take turns in each batch, one that
// holds no sequence takes one from whoever has the most, and when too many wait
// the next is refused with [ErrBusy].
//
// An answer can be bound to a GBNF grammar or a JSON schema, which is written as
// one. Where the chat template is of a family whose form is known, a model can
// call tools. Embeddings are computed in a context of their own, made at the
// first use; a file of an encoder has no other use.
//
// Models that can answer without thinking are asked to (enable_thinking is false for
// their chat template), so that an answer is short and a student is trained on what it
// will read. Of those that think all the same, what is between <think> and </think> at
// the start is no part of the answer; it counts as output tokens, and an answer that
// ends within it is incomplete.
//
// A request is checked in Go before it costs anything, and so is a file, in its
// structure and in the numbers that the library would end the process over. The
// chat template of a file is code from anywhere: it runs within bounds of time,
// memory and output.
//
// Nothing else in Retort may import the binding of the library: it holds raw
// pointers, its state is global, and its contexts belong to one goroutine.
package llamacpp
