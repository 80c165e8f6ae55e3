package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/internal/bench"
	"retort/llm"
	"retort/local/llamacpp"
	"retort/models/gguf"
)

// rawTemplate lets a prompt through as it is, so that every side reads the same
// tokens.
const rawTemplate = `{%- for message in messages -%}{{- message['content'] -}}{%- endfor -%}`

// benchContext is what one conversation may hold on every side.
const benchContext = 2048

// benchSides is everything that a measurement runs on.
type benchSides struct {
	r       *retort
	id      string
	file    string // the model's GGUF
	threads int
	seed    uint64
	machine bench.Machine
	engine  *llamacpp.Engine

	ours     *llamacpp.Model
	uncached *llamacpp.Model // the same, keeping no prefix
	ollama   *bench.Ollama   // nil without one
	peer     *bench.Completions
	closers  []io.Closer
}

// benchSides opens what the command line names.
func (r *retort) benchSides(ctx context.Context, c *cli.Context) (s *benchSides, err error) {
	s = &benchSides{r: r, id: registryID(c.String("model")), threads: r.cfg.Int("threads"), seed: uint64(c.Int64("seed")),
		machine: bench.ReadMachine()}
	if s.threads == 0 {
		s.threads = runtime.NumCPU()
	}
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	what, err := reg.Resolve(s.id)
	if err != nil {
		return nil, err
	}
	if what.Adapter != "" {
		return nil, usage("%s is an adapter; name a whole model", s.id)
	}
	s.file = what.Base
	if s.engine, err = r.engine(); err != nil {
		return nil, err
	}
	opened := s // an error returns another
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	if lib, err := llamacpp.Find(r.engineDirs()...); err == nil {
		s.machine.Versions["engine"] = strings.TrimSpace(lib.Version + " " + lib.Origin)
	}
	s.machine.Versions["retort"] = version()
	if s.ours, err = s.open(ctx, s.file, llamacpp.Options{}); err != nil {
		return nil, err
	}
	if s.uncached, err = s.open(ctx, s.file, llamacpp.Options{Prefixes: llamacpp.NoPrefixes}); err != nil {
		return nil, err
	}
	return s, s.meet(ctx, c)
}

// open loads a model as all works want it; close closes it.
func (s *benchSides) open(ctx context.Context, file string, opts llamacpp.Options) (*llamacpp.Model, error) {
	opts.ID, opts.Template, opts.Threads = s.id, rawTemplate, s.threads
	opts.Steady, opts.IgnoreEnd, opts.ContextSize = true, true, benchContext
	m, err := s.engine.Open(ctx, file, opts)
	if err == nil {
		s.closers = append(s.closers, m)
	}
	return m, err
}

// meet makes ready the peers that the command line names.
func (s *benchSides) meet(ctx context.Context, c *cli.Context) error {
	for _, name := range []string{"ollama", "peer"} {
		if at := c.String(name); at != "" && !isLoopback(at) {
			return usage("--%s %q is not on this machine", name, at).hint("sides are compared on one machine: use a loopback address")
		}
	}
	if at := c.String("ollama"); at != "" {
		s.ollama = &bench.Ollama{URL: strings.TrimSuffix(at, "/"), Threads: s.threads, Context: benchContext}
		v, err := s.ollama.Version(ctx)
		if err != nil {
			return fmt.Errorf("ask ollama: %w", err)
		}
		if name := c.String("ollama-name"); name != "" {
			v = name
		}
		s.machine.Versions["ollama"] = v
		if err := s.ollama.Install(ctx, s.file); err != nil {
			return err
		}
	}
	if at := c.String("peer"); at != "" {
		s.peer = &bench.Completions{URL: strings.TrimSuffix(strings.TrimSuffix(at, "/"), "/v1")}
		what, err := s.peer.Look(ctx, s.file)
		if err != nil {
			return fmt.Errorf("ask the peer at %s: %w", at, err)
		}
		if name := c.String("peer-name"); name != "" {
			what = name
		}
		s.machine.Versions["peer"] = what
	}
	return nil
}

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *benchSides) options(c *cli.Context) bench.Options {
	o := bench.Options{Rounds: c.Int("rounds"), Seed: s.seed, Force: c.Bool("force"), Patience: c.Duration("patience")}
	if s.ollama != nil {
		o.Servers = append(o.Servers, s.ollama.URL)
	}
	if s.peer != nil {
		o.Servers = append(o.Servers, s.peer.URL)
	}
	return o
}

func (s *benchSides) close() {
	for _, c := range s.closers {
		_ = c.Close()
	}
}

// text returns the prompt of that many tokens for a round of a work. No two are
// the same.
func (s *benchSides) text(work, round, tokens int) (string, error) {
	count := func(text string) (int, error) {
		got, err := s.ours.Tokenize([]llm.Message{llm.User(text)}, "")
		return len(got.Prompt), err
	}
	return bench.Prompts{Count: count, Seed: s.seed}.Text(work*10_000+round, tokens)
}

// randomModel returns a model of the shape of Qwen2.5-1.5B with random weights,
// which is made once and kept, and how many bytes of it one token reads.
func (s *benchSides) randomModel(weights bench.Weights) (string, int64, error) {
	path := filepath.Join(s.r.path("cache", "bench"), fmt.Sprintf("random-qwen2-1.5b-%s.gguf", weights))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", 0, err
	}
	if gguf.Check(path) != nil {
		s.r.note("Writing random weights (%s) to %s", weights, path)
		if err := bench.WriteModel(path, bench.Qwen2, weights, 1); err != nil {
			return "", 0, err
		}
	}
	f, err := gguf.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	bytes := int64(0)
	for _, t := range f.Tensors { // all of them: the tied output layer is read whole
		bytes += t.Size
	}
	return path, bytes, nil
}

// randomAdapter returns a LoRA adapter of rank 16 on every linear layer of the
// model, with random weights.
func (s *benchSides) randomAdapter() (string, error) {
	path := filepath.Join(s.r.path("cache", "bench"), s.id+"-random-lora.gguf")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := gguf.Open(s.file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	arch, _ := f.String("general.architecture")
	var matrices []bench.Matrix
	for _, t := range f.Tensors {
		if strings.HasPrefix(t.Name, "blk.") && len(t.Dims) == 2 {
			matrices = append(matrices, bench.Matrix{Name: t.Name, Inputs: int(t.Dims[0]), Outputs: int(t.Dims[1])})
		}
	}
	if len(matrices) == 0 {
		return "", errors.New("the model has no linear layers")
	}
	return path, bench.WriteAdapter(path, arch, matrices, 16, 1)
}
