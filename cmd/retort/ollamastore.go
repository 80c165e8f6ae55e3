package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strings"

	"retort/llm"
	"retort/local/llamacpp"
	"retort/models"
	"retort/models/ollamastore"
)

// storePrefix stands before the name of a model that lies in Ollama's own store
// and is run by the embedded engine, without a server.
const storePrefix = "ollama-store/"

// kindStored is the kind that lists show for such a model.
const kindStored models.Kind = "ollama-store"

// ollamaStores opens the stores of Ollama that there are. The caller closes them.
func (r *retort) ollamaStores() ([]*ollamastore.Store, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	var out []*ollamastore.Store
	for _, dir := range ollamastore.Dirs(r.p.getenv, home) {
		s, err := ollamastore.Open(dir)
		switch {
		case err == nil:
			out = append(out, s)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return out, err
		}
	}
	return out, nil
}

// storedModels describes what lies in Ollama's stores, in the words of the
// registry. What cannot be read there is noted and costs nothing else.
func (r *retort) storedModels() []models.Manifest {
	stores, err := r.ollamaStores()
	if err != nil {
		r.note("note: %s", oneLine(err))
	}
	var out []models.Manifest
	for _, s := range stores {
		list, err := s.List()
		if err != nil {
			r.note("note: %s", oneLine(err))
		}
		for _, i := range list {
			if i.Digest == "" {
				continue // of Ollama's cloud
			}
			out = append(out, models.Manifest{ID: storePrefix + i.Name, Kind: kindStored, Architecture: i.Family,
				Digest: i.Digest, Size: i.Size, Quantization: i.Quantization, Source: s.Dir(), CreatedAt: i.Modified})
		}
		s.Close()
	}
	return out
}

// stored finds a model in Ollama's stores.
func (r *retort) stored(name string) (ollamastore.Model, error) {
	stores, err := r.ollamaStores()
	if err != nil {
		return ollamastore.Model{}, err
	}
	missing := fmt.Errorf("model %q: %w: Ollama has no store here", storePrefix+name, models.ErrNotFound)
	for _, s := range stores {
		defer s.Close()
	}
	for _, s := range stores {
		m, err := s.Get(name)
		if err == nil || !errors.Is(err, ollamastore.ErrNotFound) {
			return m, err
		}
		missing = err
	}
	return ollamastore.Model{}, withHint(missing, "`retort models list` shows the models there are; OLLAMA_MODELS names a store elsewhere")
}

// storedModel opens a model of Ollama's store in the engine, in place.
func (r *retort) storedModel(ctx context.Context, name string) (llm.Model, error) {
	what, err := r.stored(name)
	if err != nil {
		return nil, err
	}
	id := storePrefix + what.Name
	m, ok := r.openedModels[id]
	if !ok {
		if m, err = r.loadStored(ctx, id, what); err != nil {
			return nil, err
		}
	}
	if what.System == "" && len(what.Stop) == 0 {
		return m, nil
	}
	return storedModel{Resident: m, system: what.System, stop: what.Stop}, nil
}

func (r *retort) loadStored(ctx context.Context, id string, what ollamastore.Model) (*llamacpp.Resident, error) {
	template, remark, err := storedTemplate(what)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", id, err)
	}
	if remark != "" {
		r.note("note: %s: %s", id, remark)
	}
	for _, part := range what.Ignored {
		r.note("note: %s: left out: %s", id, part)
	}
	opts := llamacpp.Options{ID: id, Template: template, Threads: r.cfg.Int("threads")}
	for _, path := range what.Adapters {
		opts.Adapters = append(opts.Adapters, llamacpp.Adapter{Path: path, Scale: 1})
	}
	return r.reside(ctx, id, what.Weights, opts)
}

// storedTemplate chooses the chat template for a model of Ollama's store, as
// llamacpp.Options takes it. That is the template layer: by the file's own
// template or a built-in one where they write the same, which can do more
// besides, and else translated. Where it cannot be translated the file's own
// stands in, and remark says so; without either the model is refused.
func storedTemplate(m ollamastore.Model) (template, remark string, err error) {
	chat, err := readChat(m.Weights)
	if err != nil {
		return "", "", err
	}
	if m.Template == "" && m.Renderer == "" {
		return "", "", nil
	}
	if m.Renderer == "" {
		if template, err = translated(m.Template, chat); err == nil {
			return template, "", nil
		}
	} else {
		err = fmt.Errorf("chat template %q is a part of the Ollama server", m.Renderer)
	}
	if chat.template != "" {
		return "", fmt.Sprintf("the chat template of its own GGUF stands in for Ollama's (%s)", oneLine(err)), nil
	}
	return "", "", withHint(fmt.Errorf("%w, and the GGUF has none: %w", err, llm.ErrUnsupported),
		fmt.Sprintf("`retort models import %s --link --template chatml` takes a built-in one", m.Weights))
}

// translated finds what renders as the template layer does.
func translated(layer string, chat ggufChat) (string, error) {
	render, err := ollamastore.Renderer(layer)
	if err != nil {
		return "", err
	}
	want, err := ollamastore.ShapeOf(render)
	if err != nil {
		return "", err
	}
	if chat.template != "" {
		if own, err := chat.shape(""); err == nil && own == want {
			return "", nil
		}
	}
	for _, name := range []string{"chatml", "plain"} {
		if builtin, err := chat.shape(name); err == nil && builtin == want {
			return name, nil
		}
	}
	return want.Jinja(), nil
}

// storedModel adds to each request what Ollama would: the system text, where the
// conversation has none, and the stop texts.
type storedModel struct {
	*llamacpp.Resident
	system string
	stop   []string
}

func (m storedModel) messages(in []llm.Message) []llm.Message {
	if m.system == "" || len(in) == 0 || in[0].Role == llm.RoleSystem {
		return in
	}
	return append([]llm.Message{llm.System(m.system)}, in...)
}

func (m storedModel) request(req llm.Request) llm.Request {
	req.Messages = m.messages(req.Messages)
	req.Sampling.Stop = append(append([]string{}, req.Sampling.Stop...), m.stop...)
	return req
}

// Generate implements llm.Resident.
func (m storedModel) Generate(ctx context.Context, req llm.Request) iter.Seq2[llm.Event, error] {
	return m.Resident.Generate(ctx, m.request(req))
}

// GenerateN implements llm.BatchModel.
func (m storedModel) GenerateN(ctx context.Context, req llm.Request, n int) iter.Seq2[llm.Response, error] {
	return m.Resident.GenerateN(ctx, m.request(req), n)
}

// Score implements llm.Scorer.
func (m storedModel) Score(ctx context.Context, req llm.Request, continuations []string) ([]llm.Score, error) {
	return m.Resident.Score(ctx, m.request(req), continuations)
}

// Tokenize implements llm.Tokenizer.
func (m storedModel) Tokenize(messages []llm.Message, completion string) (llm.Tokens, error) {
	return m.Resident.Tokenize(m.messages(messages), completion)
}

// showStored prints what is known of a model of Ollama's store.
func (r *retort) showStored(name string) error {
	m, err := r.stored(name)
	if err != nil {
		return err
	}
	view := storedView{ID: storePrefix + m.Name, Kind: kindStored, Architecture: m.Family, Quantization: m.Quantization, Digest: m.Digest,
		Size: m.Size, Weights: m.Weights, Adapters: m.Adapters, System: m.System, Stop: m.Stop, Ignored: m.Ignored}
	view.Template, view.Remark, err = storedTemplate(m)
	switch {
	case errors.Is(err, llm.ErrUnsupported):
		view.Remark = oneLine(err)
	case err != nil:
		return err
	}
	if r.asJSON {
		return r.object(view)
	}
	r.printf("%s  %s %s, %s\n  %s\n", view.ID, view.Architecture, view.Quantization, megabytes(view.Size), view.Weights)
	for _, path := range view.Adapters {
		r.printf("  adapter  %s\n", path)
	}
	for _, line := range []struct{ title, text string }{
		{"system", view.System}, {"stop", strings.Join(quotedAll(view.Stop), " ")}, {"template", view.Template},
		{"left out", strings.Join(view.Ignored, ", ")}, {"note", view.Remark}} {
		if line.text != "" {
			r.printf("  %-8s %s\n", line.title, line.text)
		}
	}
	return nil
}

// storedView is what users see of a model of Ollama's store.
type storedView struct {
	ID           string      `json:"id"`
	Kind         models.Kind `json:"kind"`
	Architecture string      `json:"architecture"`
	Quantization string      `json:"quantization"`
	Digest       string      `json:"digest"`
	Size         int64       `json:"size"`
	Weights      string      `json:"weights"`
	Adapters     []string    `json:"adapters,omitempty"`
	System       string      `json:"system,omitempty"`
	Stop         []string    `json:"stop,omitempty"`
	Template     string      `json:"template,omitempty"` // as the engine takes it; empty: the file's own
	Ignored      []string    `json:"left_out,omitempty"`
	Remark       string      `json:"note,omitempty"`
}

func quotedAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return out
}
