package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHoist(t *testing.T) {
	app := (&program{}).app()
	for name, tc := range map[string]struct{ in, want []string }{
		"flags after the file":   {[]string{"retort", "examples", "export", "F", "--format", "openai", "--json"}, []string{"retort", "examples", "export", "--format", "openai", "--json", "F"}},
		"flag with equals":       {[]string{"retort", "examples", "export", "F", "--format=openai"}, []string{"retort", "examples", "export", "--format=openai", "F"}},
		"value like a command":   {[]string{"retort", "ensemble", "--input", "eval"}, []string{"retort", "ensemble", "--input", "eval"}},
		"negative number stays":  {[]string{"retort", "examples", "rate", "ID", "-1"}, []string{"retort", "examples", "rate", "ID", "-1"}},
		"all behind -- is words": {[]string{"retort", "examples", "show", "--json", "--", "--x"}, []string{"retort", "examples", "show", "--json", "--", "--x"}},
		"nothing":                {[]string{"retort"}, []string{"retort"}},
	} {
		if diff := cmp.Diff(tc.want, hoist(app, tc.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
