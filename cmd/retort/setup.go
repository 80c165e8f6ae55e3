package main

import (
	"context"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"retort/internal/setup"
	"retort/local/llamacpp"
	"retort/models"
	"retort/scripts"
)

func (p *program) setupCommand() *cli.Command {
	return p.verb(&cli.Command{
		Name:  "setup",
		Usage: "fetch the engine, the starter models and the Python environment",
		Description: "What is there is left alone, and an interrupted set-up goes on where it stopped. With --offline\n" +
			"nothing is fetched: what is missing is named.",
	}, runSetup)
}

func (p *program) doctorCommand() *cli.Command {
	return p.verb(&cli.Command{Name: "doctor", Usage: "show what is installed, where it came from, and how to mend what is missing",
		Description: "Exit status 3 means that something is missing.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "providers", Usage: "instead: make one small call with each key of an enabled provider and say what is wrong"}}}, runDoctor)
}

// engineLibrary lets the set-up handle the engine without knowing it.
type engineLibrary struct{}

func (engineLibrary) Find(dir string) (setup.Library, error) {
	lib, err := llamacpp.Find(dir)
	return setup.Library{Path: lib.Path, Version: lib.Version, Origin: lib.Origin}, err
}
func (engineLibrary) Probe(dir string) error { return llamacpp.Probe(dir) }
func (engineLibrary) Download(ctx context.Context, dir string, progress func(done, total int64)) error {
	return llamacpp.Download(ctx, dir, progress)
}

// pieces are the parts that come from outside.
func (r *retort) pieces() ([]setup.Piece, error) {
	reg, err := r.registry()
	if err != nil {
		return nil, err
	}
	return setup.New(setup.Options{
		Home: r.path(), Offline: r.cfg.Bool("offline"), Env: os.Environ(),
		Engine: engineLibrary{}, EngineDir: r.cfg.Text("engine_dir"),
		Registry: reg, Models: models.Catalogue(),
		Python: r.cfg.Text("python"), Lock: scripts.Requirements(),
	}), nil
}

func runSetup(ctx context.Context, _ *cli.Context, r *retort) error {
	pieces, err := r.pieces()
	if err != nil {
		return err
	}
	steps := &setupProgress{out: r.output}
	if err := setup.Install(ctx, r.path(), pieces, steps); err != nil {
		return err
	}
	views := pieceViews(ctx, pieces)
	for _, v := range views {
		r.printf("✅ %s %s\n", v.Name, v.detail())
	}
	return r.object(views)
}

// setupProgress shows each step of a set-up as a bar.
type setupProgress struct {
	out output
	bar *bar
}

func (s *setupProgress) Start(title string, total int64) { s.bar = s.out.bar(title, total, "B") }
func (s *setupProgress) Add(n int64)                     { s.bar.add(n) }
func (s *setupProgress) Done()                           { s.bar.done("") }
func (s *setupProgress) Note(line string) {
	if s.bar != nil {
		s.bar.describe(" " + firstLine(line, 40))
	}
}

type pieceView struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Version string `json:"version,omitempty"`
	Origin  string `json:"origin,omitempty"`
	Path    string `json:"path,omitempty"`
	License string `json:"license,omitempty"`
	Problem string `json:"problem,omitempty"`
	Fix     string `json:"fix,omitempty"`
}

func pieceViews(ctx context.Context, pieces []setup.Piece) []pieceView {
	views := make([]pieceView, len(pieces))
	for i, p := range pieces {
		views[i] = pieceView(p.Status(ctx))
	}
	return views
}

// detail is the version, origin and licence in one line.
func (v pieceView) detail() string {
	text := v.Version
	if v.Origin != "" {
		text += " from " + v.Origin
	}
	if v.License != "" {
		text += " (" + v.License + ")"
	}
	return text
}

// setting is one thing that the engine chose, and why.
type setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

type doctorView struct {
	OK       bool        `json:"ok"`
	Version  string      `json:"version"`
	Home     string      `json:"home"`
	Offline  bool        `json:"offline"`
	Pieces   []pieceView `json:"pieces"`
	Devices  []string    `json:"devices,omitempty"`
	Features string      `json:"features,omitempty"`
	Settings []setting   `json:"settings,omitempty"` // what the engine chose for this machine
	Ollama   string      `json:"ollama"`
	Current  string      `json:"model_in_use,omitempty"`
	Holder   int         `json:"store_held_by,omitempty"` // process ID
}

func runDoctor(ctx context.Context, c *cli.Context, r *retort) error {
	if c.Bool("providers") {
		return runDoctorProviders(ctx, r)
	}
	pieces, err := r.pieces()
	if err != nil {
		return err
	}
	v := doctorView{OK: true, Version: version(), Home: r.path(), Offline: r.cfg.Bool("offline"), Pieces: pieceViews(ctx, pieces)}
	for _, p := range v.Pieces {
		v.OK = v.OK && p.OK
	}
	if eng, err := r.engine(); err == nil {
		info := eng.Info()
		v.Devices, v.Features = info.Devices, info.Features
		for _, chosen := range eng.Settings(llamacpp.Options{Threads: r.cfg.Int("threads")}) {
			v.Settings = append(v.Settings, setting(chosen))
		}
	}
	v.Ollama = r.ollamaState(ctx)
	if v.Current, err = r.currentID(); err != nil {
		return err
	}
	v.Holder = r.storeHolder(ctx)
	v.print(r)
	if err := r.object(v); err != nil {
		return err
	}
	if !v.OK {
		return withHint(partial("something is missing"), "`retort setup` fetches it")
	}
	return nil
}

func (r *retort) ollamaState(ctx context.Context) string {
	client, err := r.ollamaClient()
	if err != nil {
		return oneLine(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	v, err := client.Version(ctx)
	if err != nil {
		return "not running (optional)"
	}
	return v + " at " + r.cfg.Text("ollama_url")
}

func (v doctorView) print(r *retort) {
	r.printf("retort %s\n  home    %s\n", v.Version, v.Home)
	for _, p := range v.Pieces {
		mark := map[bool]string{true: "✅", false: "❌"}[p.OK]
		r.printf("%s %-7s %s\n", mark, p.Name, p.detail())
		if p.Path != "" {
			r.printf("           %s\n", p.Path)
		}
		if !p.OK {
			r.printf("           %s\n           fix: %s\n", p.Problem, p.Fix)
		}
	}
	for _, d := range v.Devices {
		r.printf("   device  %s\n", d)
	}
	for _, s := range v.Settings {
		r.printf("   %-16s %-6s %s\n", s.Name, s.Value, s.Reason)
	}
	r.printf("   ollama  %s\n", v.Ollama)
	if v.Current != "" {
		r.printf("   in use  %s\n", v.Current)
	}
	if v.Holder != 0 {
		r.printf("   store   held by process %d, which serves it to the others\n", v.Holder)
	}
}
