package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"retort/internal/config"
)

func (p *program) configCommand() *cli.Command {
	return group("config", "show the settings and where each comes from",
		p.verb(&cli.Command{Name: "show", Usage: "print every setting, its value and its origin"}, runConfigShow),
		p.verb(&cli.Command{Name: "get", Usage: "print one setting's value alone", ArgsUsage: "SETTING"}, runConfigGet))
}

type settingView struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	Env    string `json:"env"`
	Help   string `json:"help"`
}

func runConfigShow(_ context.Context, _ *cli.Context, r *retort) error {
	views := []settingView{}
	rows := [][]string{{"SETTING", "VALUE", "FROM", "MEANING"}}
	for _, s := range config.Settings() {
		v := r.cfg.Value(s.Key)
		views = append(views, settingView{s.Key, v.Text, v.Origin, s.Env, s.Help})
		rows = append(rows, []string{s.Key, v.Text, v.Origin, s.Help})
	}
	r.table(rows)
	return r.object(views)
}

func runConfigGet(_ context.Context, c *cli.Context, r *retort) error {
	for _, s := range config.Settings() {
		if c.NArg() == 1 && s.Key == c.Args().First() {
			v := r.cfg.Value(s.Key)
			r.printf("%s\n", v.Text)
			return r.object(settingView{s.Key, v.Text, v.Origin, s.Env, s.Help})
		}
	}
	return usage("unknown setting %q", c.Args().First()).hint("`retort config show` lists them")
}
