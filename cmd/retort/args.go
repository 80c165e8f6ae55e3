package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// hoist moves the flags of args in front of its positional arguments, so that
// `examples export FILE --format openai` means what it says: the flag package
// beneath urfave/cli stops at the first argument that is not a flag.
func hoist(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	out := []string{args[0]}
	commands, flags := app.Commands, app.Flags
	var positional []string
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(append(out, positional...), args[i:]...)
		case len(arg) > 1 && arg[0] == '-' && !isNumber(arg):
			out = append(out, arg)
			if takesValue(flags, arg) && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		default:
			if cmd := find(commands, arg); cmd != nil && len(positional) == 0 {
				out = append(out, arg)
				commands, flags = cmd.Subcommands, cmd.Flags
				continue
			}
			positional = append(positional, arg)
		}
	}
	return append(out, positional...)
}

func isNumber(arg string) bool { return arg[1] >= '0' && arg[1] <= '9' }

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// takesValue reports whether arg is a known flag whose value is the next word.
func takesValue(flags []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				_, isSwitch := f.(*cli.BoolFlag)
				return !isSwitch
			}
		}
	}
	return false
}
