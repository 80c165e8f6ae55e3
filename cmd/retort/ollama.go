package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"retort/llm"
	"retort/local/ollama"
	"retort/models"
	"retort/models/ollamastore"
)

// ollamaPrefix stands before the name of a model that a running Ollama answers with.
const ollamaPrefix = "ollama/"

// ollamaClient is the one client of this invocation, so that its advice rests
// on all requests.
func (r *retort) ollamaClient() (*ollama.Client, error) {
	if r.openedOllama != nil {
		return r.openedOllama, nil
	}
	online := !r.cfg.Bool("offline")
	opts := ollama.Options{AllowRemote: online && r.cfg.Value("ollama_url").Origin != "default",
		AllowCloud: online && r.cfg.Bool("ollama_cloud"), AllowPull: online}
	if keep := r.cfg.Text("ollama_keep_alive"); keep != "" {
		d, err := time.ParseDuration(keep)
		if err != nil {
			return nil, err
		}
		opts.KeepAlive = &d
	}
	client, err := ollama.New(r.cfg.Text("ollama_url"), opts)
	if err == nil {
		r.openedOllama = client
	}
	return client, err
}

// advise notes what limits of a running Ollama slowed down this invocation.
func (r *retort) advise(ctx context.Context) {
	if r.openedOllama == nil || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, sentence := range r.openedOllama.Advice(ctx) {
		r.note("note: %s", sentence)
	}
}

// ollamaBars shows an Ollama's progress, one bar for each file.
type ollamaBars struct {
	out  output
	at   ollama.Progress
	bar  *bar
	verb map[string]string // titles by stage
}

func (b *ollamaBars) show(p ollama.Progress) {
	if p.Stage != b.at.Stage || p.Path != b.at.Path {
		b.finish(nil)
		if p.Total > 0 {
			title := p.Stage
			if t, ok := b.verb[p.Stage]; ok {
				title = t + " " + filepath.Base(p.Path)
			}
			b.bar = b.out.bar(title, p.Total, "B")
		}
	}
	b.at = p
	if b.bar != nil {
		b.bar.set(p.Done)
	}
}

// finish ends the bar of the last file.
func (b *ollamaBars) finish(err error) {
	if b.bar != nil {
		b.bar.end(&err)
		b.bar = nil
	}
}

func runModelsPull(ctx context.Context, c *cli.Context, r *retort) error {
	name, ok := strings.CutPrefix(c.Args().First(), ollamaPrefix)
	if c.NArg() != 1 || !ok || name == "" {
		return usage("models pull wants one ollama/NAME").hint("`retort setup` brings the starter models; `retort models import` takes a file")
	}
	client, err := r.ollamaClient()
	if err != nil {
		return err
	}
	bars := &ollamaBars{out: r.output}
	err = client.Pull(ctx, name, bars.show)
	bars.finish(err)
	if err != nil {
		return err
	}
	r.printf("✅ %s%s\n", ollamaPrefix, name)
	return r.object(map[string]string{"model": ollamaPrefix + name})
}

// exportView is what users see of a model that was given to an Ollama.
type exportView struct {
	Model    string      `json:"model"`
	To       string      `json:"to"`
	Merged   string      `json:"merged,omitempty"` // the model that was given instead of the adapter
	Template string      `json:"template,omitempty"`
	Stop     []string    `json:"stop,omitempty"`
	Notes    []string    `json:"notes,omitempty"`
	Check    *exportTest `json:"check,omitempty"`
}

// exportTest compares one greedy answer of the engine with Ollama's.
type exportTest struct {
	Question    string `json:"question"`
	Here        string `json:"here"`
	There       string `json:"there"`
	Same        bool   `json:"same"`
	TokensHere  int    `json:"prompt_tokens_here"`
	TokensThere int    `json:"prompt_tokens_there"`
}

func runModelsExport(ctx context.Context, c *cli.Context, r *retort) error {
	reg, id, err := r.named(c)
	if err != nil {
		return err
	}
	kind, name, _ := strings.Cut(c.String("to"), ":")
	if kind != "ollama" {
		return usage("models export wants --to ollama or --to ollama:NAME")
	}
	if name == "" {
		name = id
	}
	what, err := reg.Resolve(id)
	if err != nil {
		return err
	}
	client, err := r.ollamaClient()
	if err != nil {
		return err
	}
	x := &export{r: r, reg: reg, client: client, what: what, name: name, quantization: c.String("quantization"),
		view: exportView{Model: id, To: ollamaPrefix + name}}
	if err := x.template(); err != nil {
		return err
	}
	if err := x.run(ctx, c.Bool("merge")); err != nil {
		return err
	}
	r.printf("✅ %s is %s\n", id, x.view.To)
	if !c.Bool("no-check") {
		if err := x.check(ctx, c.String("question")); err != nil {
			return err
		}
	}
	if err := r.object(x.view); err != nil {
		return err
	}
	if t := x.view.Check; t != nil && t.TokensHere != t.TokensThere {
		return withHint(partial("Ollama reads the question as %d tokens, the engine as %d: it writes conversations in another way", t.TokensThere, t.TokensHere),
			"see `ollama show --template "+name+"`")
	}
	return nil
}

// export is one model on its way to an Ollama.
type export struct {
	r            *retort
	reg          *models.Registry
	client       *ollama.Client
	what         models.Loadable
	name         string
	quantization string // of a merged model
	view         exportView
}

func (x *export) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	x.view.Notes = append(x.view.Notes, text)
	x.r.note("note: %s", text)
}

// run creates the model. An adapter that the server cannot apply is merged into
// its base first.
func (x *export) run(ctx context.Context, merge bool) error {
	if x.what.Adapter != "" && x.what.Scale != 1 && !merge {
		x.note("Ollama applies adapters at scale 1, this one is at %g: it is merged into its base", x.what.Scale)
		merge = true
	}
	if x.what.Adapter == "" || !merge {
		err := x.create(ctx)
		if !errors.Is(err, ollama.ErrAdapter) {
			return err
		}
		x.note("this Ollama cannot apply an adapter over such a base: it is merged into its base")
	}
	if err := x.merge(ctx); err != nil {
		return err
	}
	return x.create(ctx)
}

// merge goes on with the merged model, which may be there from before.
func (x *export) merge(ctx context.Context) error {
	id := x.view.Model
	adapter, err := x.reg.Get(id)
	if err != nil {
		return err
	}
	newID := id + "-merged"
	merged, err := x.reg.Get(newID)
	if errors.Is(err, models.ErrNotFound) {
		merged, err = x.r.merge(ctx, x.reg, id, newID, x.quantization)
	}
	if err != nil {
		return err
	}
	if merged.Kind != models.KindMerged || merged.Parent != id || merged.ParentDigest != adapter.Digest {
		return withHint(fmt.Errorf("model %q: %w", newID, models.ErrExists), "`retort models rm "+newID+"` makes room for the merged one")
	}
	x.view.Merged = newID
	x.what, err = x.reg.Resolve(newID)
	return err
}

// template writes the model's chat template in Ollama's syntax, where it can be.
func (x *export) template() error {
	chat, err := readChat(x.what.Base)
	if err != nil {
		return err
	}
	shape, err := chat.shape(x.what.Template)
	if errors.Is(err, ollamastore.ErrShape) {
		x.note("%s: Ollama chooses one by itself", oneLine(err))
		return nil
	}
	x.view.Template, x.view.Stop = shape.Template(), shape.Stops()
	return err
}

func (x *export) create(ctx context.Context) error {
	bars := &ollamaBars{out: x.r.output, verb: map[string]string{"hash": "Reading", "upload": "Sending"}}
	err := x.client.Create(ctx, x.name, ollama.CreateOptions{
		GGUF: x.what.Base, Adapter: x.what.Adapter, Template: x.view.Template, Stop: x.view.Stop,
		// Otherwise Ollama bends the distribution by its default of 1.1.
		Parameters: map[string]any{"repeat_penalty": 1.0},
		Progress:   bars.show,
	})
	bars.finish(err)
	return err
}

// check asks both engines the same question, greedily.
func (x *export) check(ctx context.Context, question string) error {
	here, err := x.r.model(ctx, x.what.ID)
	if err != nil {
		return err
	}
	req := llm.Request{Messages: []llm.Message{llm.User(question)}, Sampling: llm.Sampling{Temperature: new(0.0), MaxOutputTokens: 16}}
	ours, err := llm.Collect(ctx, here, req)
	if err != nil {
		return err
	}
	theirs, err := llm.Collect(ctx, x.client.Model(x.name), req)
	if err != nil {
		return err
	}
	t := &exportTest{Question: question, Here: strings.TrimSpace(ours.Text), There: strings.TrimSpace(theirs.Text),
		TokensHere: ours.Usage.InputTokens, TokensThere: theirs.Usage.InputTokens}
	t.Same = t.Here == t.There
	x.view.Check = t
	if t.Same {
		x.r.printf("   asked %q, both say: %s\n", question, firstLine(t.Here, 100))
	} else {
		x.r.printf("   asked %q, the engine says: %s\n   Ollama says: %s\n", question, firstLine(t.Here, 100), firstLine(t.There, 100))
	}
	return nil
}
