package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"retort/internal/config"
)

// program is one invocation: its streams and its environment.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) (string, bool)
}

// action is what a verb does, given everything that wire.go can open.
type action func(ctx context.Context, c *cli.Context, r *retort) error

func (p *program) app() *cli.App {
	return &cli.App{
		Name:                   "retort",
		Usage:                  "answer with several models, keep what was good, distil it into your own",
		Version:                version(),
		Writer:                 p.stdout,
		ErrWriter:              p.stderr,
		HideVersion:            false,
		UseShortOptionHandling: false,
		ExitErrHandler:         func(*cli.Context, error) {}, // report does it
		OnUsageError:           usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("unknown verb %q", c.Args().First()).hint("`retort help` lists the verbs")
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			p.setupCommand(), p.doctorCommand(), p.demoCommand(),
			p.ensembleCommand(), p.distillCommand(), p.learningStatsCommand(), p.examplesCommand(),
			p.finetuneCommand(), p.runsCommand(), p.evalCommand(), p.reportCommand(), p.modelsCommand(),
			p.configCommand(), p.benchCommand(), p.benchHoldCommand(), p.benchStepCommand(),
		},
	}
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return fmt.Sprintf("%s (%s, %s/%s)", s.Value[:min(12, len(s.Value))], runtime.Version(), runtime.GOOS, runtime.GOARCH)
		}
	}
	return fmt.Sprintf("development (%s, %s/%s)", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func usageError(_ *cli.Context, err error, _ bool) error {
	return usage("%v", err).hint("add --help to see the flags")
}

// verb completes a command: the flags that every verb has, and an action that
// is given the opened configuration and closes what it used.
func (p *program) verb(cmd *cli.Command, do action) *cli.Command {
	cmd.Flags = append(cmd.Flags,
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object on stdout and nothing else"},
		&cli.BoolFlag{Name: "offline", Usage: "forbid every connection beyond this machine"},
		&cli.StringFlag{Name: "home", Usage: "folder of all of Retort's data"},
	)
	cmd.OnUsageError = usageError
	cmd.Action = func(c *cli.Context) error {
		if cmd.ArgsUsage == "" && c.NArg() > 0 {
			return usage("%s takes no argument, but %q was given", strings.TrimPrefix(cmd.HelpName, "retort "), c.Args().First()).hint("add --help to see the flags")
		}
		cfg, err := p.config(c)
		if err != nil {
			return err
		}
		r := newRetort(c.Context, p, cfg, c.Bool("json"))
		err = do(c.Context, c, r)
		r.advise(c.Context)
		return errors.Join(err, *r.lost, r.Close())
	}
	return cmd
}

// group makes a command that only holds others.
func group(name, about string, subs ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: about, Subcommands: subs, OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usage("%s has no %q", name, c.Args().First()).hint(fmt.Sprintf("`retort %s --help` lists what it has", name))
			}
			return cli.ShowSubcommandHelp(c)
		}}
}

func (p *program) config(c *cli.Context) (*config.Config, error) {
	flags := map[string]string{}
	if c.IsSet("home") {
		flags["home"] = c.String("home")
	}
	if c.IsSet("offline") {
		flags["offline"] = fmt.Sprint(c.Bool("offline"))
	}
	home, err := defaultHome(p.getenv)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(config.Sources{Flags: flags, Getenv: p.getenv, DotEnv: ".env", Default: map[string]string{"home": home}})
	if err != nil {
		return nil, err
	}
	if len(cfg.Section(config.Providers))+len(cfg.Section(config.Models)) > 0 {
		_, err = offersOf(cfg) // a misspelt entry is an error whatever the verb
	}
	return cfg, err
}

// defaultHome is the platform's folder for a program's data.
func defaultHome(getenv func(string) (string, bool)) (string, error) {
	if dir, ok := getenv("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "retort"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", withHint(fmt.Errorf("find the data folder: %w", err), "set RETORT_HOME to a folder")
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "retort"), nil
	case "windows":
		if dir, ok := getenv("LOCALAPPDATA"); ok {
			return filepath.Join(dir, "retort"), nil
		}
	}
	return filepath.Join(home, ".local", "share", "retort"), nil
}
