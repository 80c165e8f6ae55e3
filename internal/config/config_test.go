package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"retort/internal/config"
)

func sources(home string, env map[string]string) config.Sources {
	return config.Sources{
		Getenv:  func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		DotEnv:  filepath.Join(home, ".env"),
		Default: map[string]string{"home": home},
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad_precedence(t *testing.T) {
	home := t.TempDir()
	env := map[string]string{}
	src := sources(home, env)
	steps := []struct {
		set  func()
		want config.Value
	}{
		{func() {}, config.Value{Text: "0", Origin: "default"}},
		{func() { write(t, filepath.Join(home, "config.yaml"), "threads: 1\ncollect:\n  min_quality: 0.9\n") },
			config.Value{Text: "1", Origin: "config.yaml"}},
		{func() { write(t, filepath.Join(home, ".env"), "RETORT_THREADS=2\n") }, config.Value{Text: "2", Origin: ".env"}},
		{func() { env["RETORT_THREADS"] = "3" }, config.Value{Text: "3", Origin: "environment RETORT_THREADS"}},
		{func() { src.Flags = map[string]string{"threads": "4"} }, config.Value{Text: "4", Origin: "flag"}},
	}
	for _, step := range steps {
		step.set()
		c, err := config.Load(src)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Value("threads"); got != step.want {
			t.Errorf("threads = %+v, want %+v", got, step.want)
		}
	}
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	if c.Number("collect.min_quality") != 0.9 || c.Int("threads") != 4 || c.Bool("offline") {
		t.Errorf("typed values differ from the texts")
	}
}

func TestLoad_refuses(t *testing.T) {
	for name, tc := range map[string]struct{ file, env, want string }{
		"unknown key":   {"treads: 2\n", "", `no setting "treads"`},
		"not a number":  {"threads: many\n", "", `threads is "many" (from config.yaml)`},
		"out of range":  {"", "1.5", `collect.min_quality is "1.5" (from environment RETORT_COLLECT_MIN_QUALITY)`},
		"not YAML":      {"threads: [1\n", "", "config.yaml"},
		"home in file":  {"home: /tmp\n", "", `no setting "home"`},
		"nested unkown": {"collect:\n  max: 2\n", "", `no setting "collect.max"`},
		"no table":      {"providers: [openai]\n", "", "providers is no table"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			if tc.file != "" {
				write(t, filepath.Join(home, "config.yaml"), tc.file)
			}
			_, err := config.Load(sources(home, map[string]string{"RETORT_COLLECT_MIN_QUALITY": tc.env}))
			if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, tc.want)
			}
		})
	}
}

func TestLoad_sections(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "config.yaml"), "threads: 1\nproviders:\n  openai:\n    enabled: true\nmodels:\n  openai/gpt-4.1: {enabled: false}\n")
	c, err := config.Load(sources(home, nil))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := c.Section(config.Providers)["openai"].(map[string]any); p["enabled"] != true {
		t.Errorf("providers %v", c.Section(config.Providers))
	}
	if m, _ := c.Section(config.Models)["openai/gpt-4.1"].(map[string]any); m["enabled"] != false || c.Int("threads") != 1 {
		t.Errorf("models %v", c.Section(config.Models))
	}
}

func TestSecret_neverShows(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".env"), "A_KEY=canary-7f3a91c2e5\nB_KEY=other\n")
	c, err := config.Load(sources(home, map[string]string{"B_KEY": "canary-b1b2b3"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{"A_KEY": {"canary-7f3a91c2e5", ".env"}, "B_KEY": {"canary-b1b2b3", "environment"}, "C_KEY": {}} {
		if v, origin := c.Secret(name); v != want[0] || origin != want[1] {
			t.Errorf("%s from %q", name, origin)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", c, *c, *c); strings.Contains(s, "canary") {
		t.Errorf("a key shows: %s", s)
	}
}

func TestSecret_aForeignHomeGetsNone(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".env"), "RETORT_HOME="+home+"\nA_KEY=of-the-folder\n")
	c, err := config.Load(sources(home, map[string]string{"A_KEY": "mine", "B_KEY": "mine"}))
	if err != nil {
		t.Fatal(err)
	}
	a, _ := c.Secret("A_KEY")
	if b, _ := c.Secret("B_KEY"); a != "of-the-folder" || b != "" {
		t.Errorf("keys %q and %q, want those of .env alone", a, b)
	}
}

func TestSettings_defaultsAreValid(t *testing.T) {
	if _, err := config.Load(sources(t.TempDir(), nil)); err != nil {
		t.Error(err)
	}
	for _, s := range config.Settings() {
		if s.Help == "" || !strings.HasPrefix(s.Env, "RETORT_") {
			t.Errorf("setting %q lacks help or an environment name", s.Key)
		}
	}
}

// TestLoad_relativeHome holds that a home means the same to programs that are run in
// another folder.
func TestLoad_relativeHome(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, filepath.Join(dir, "config.yaml"), "threads: 5\n")
	src := sources(".", map[string]string{})
	src.Flags = map[string]string{"home": "."}
	c, err := config.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Value("home"); got != (config.Value{Text: dir, Origin: "flag"}) || c.Int("threads") != 5 {
		t.Errorf("home %+v, %d threads", got, c.Int("threads"))
	}
}

// TestLoad_leftOpen holds that a setting, or a section, without a value is none.
func TestLoad_leftOpen(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "config.yaml"), "python:\nthreads: # all\ncollect:\n  # min_quality: 0.9\n")
	c, err := config.Load(sources(home, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Value("python"); got != (config.Value{Origin: "default"}) || c.Int("threads") != 0 || c.Number("collect.min_quality") != 0.7 {
		t.Errorf("python %+v, %d threads", got, c.Int("threads"))
	}
}

func TestLoad_byteOrderMarks(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "config.yaml"), "\ufeffthreads: 3\n")
	write(t, filepath.Join(home, ".env"), "\ufeffRETORT_OFFLINE=true\n")
	c, err := config.Load(sources(home, nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.Int("threads") != 3 || !c.Bool("offline") {
		t.Errorf("%d threads, offline %t", c.Int("threads"), c.Bool("offline"))
	}
}

// TestLoad_dotEnvFolder holds that a Python environment in .env is no hindrance.
func TestLoad_dotEnvFolder(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".env"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(sources(home, nil)); err != nil {
		t.Error(err)
	}
}
