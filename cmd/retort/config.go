package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"retort/internal/config"
)

func (p *program) configCommand() *cli.Command {
	return group("config", "show the settings and where each comes from",
		p.verb(&cli.Command{Name: "show", Usage: "print every setting, its value and its origin"}, runConfigShow))
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
