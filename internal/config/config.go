// Package config finds the value of every setting and remembers where it came
// from: flag, environment, .env file, config.yaml, or the default, the first of
// them that names it.
//
// Call Load once, at the start; then Config.Text, Bool, Int and Number. Keys come
// from Config.Secret, and Config.Section has the tables of config.yaml whose entries
// the owner names himself.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/joho/godotenv"
)

// ErrInvalid: a setting has a value that it cannot have, or is not known.
var ErrInvalid = errors.New("invalid setting")

// Sources is where Load looks.
type Sources struct {
	Flags   map[string]string           // by key; only those given
	Getenv  func(string) (string, bool) // the process's environment
	DotEnv  string                      // path of the .env file; may not exist
	Default map[string]string           // defaults that depend on the machine, by key
}

// Value is a setting's text with its origin.
type Value struct {
	Text   string
	Origin string // "flag", "environment NAME", ".env", "config.yaml" or "default"
}

// Config holds the value of every setting.
type Config struct {
	values   map[string]Value
	sections map[string]map[string]any
	secret   func(name string) (string, string) // a function, so that no way of printing shows the keys
}

// Sections of config.yaml whose entries the owner names; what an entry may hold is
// for their users to check.
const (
	Providers = "providers" // services that answer over the network, by name
	Models    = "models"    // their models, by ID
)

// Load finds all settings. An unknown key in config.yaml is an error: it would
// otherwise be a misspelt setting without effect.
func Load(src Sources) (*Config, error) {
	dotenv, err := readDotEnv(src.DotEnv)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", src.DotEnv, err)
	}
	home := src.find(settings[0], dotenv, nil)
	if home.Text == "" {
		return nil, fmt.Errorf("%w: home is empty", ErrInvalid)
	}
	if home.Text, err = filepath.Abs(home.Text); err != nil { // programs are run in other folders
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	c := &Config{values: map[string]Value{}, secret: src.secret(home, dotenv)}
	file, sections, err := readFile(filepath.Join(home.Text, "config.yaml"))
	if err != nil {
		return nil, err
	}
	c.sections = sections
	for _, s := range settings {
		v := src.find(s, dotenv, file)
		if err := s.check(v.Text); err != nil {
			return nil, fmt.Errorf("%w: %s is %q (from %s): %v", ErrInvalid, s.Key, v.Text, v.Origin, err)
		}
		c.values[s.Key] = v
	}
	c.values["home"] = home
	return c, nil
}

func (src Sources) find(s Setting, dotenv, file map[string]string) Value {
	if v, ok := src.Flags[s.Key]; ok {
		return Value{v, "flag"}
	}
	if v, ok := src.Getenv(s.Env); ok && v != "" {
		return Value{v, "environment " + s.Env}
	}
	if v := dotenv[s.Env]; v != "" {
		return Value{v, ".env"}
	}
	if v, ok := file[s.Key]; ok {
		return Value{v, "config.yaml"}
	}
	if v, ok := src.Default[s.Key]; ok {
		return Value{v, "default"}
	}
	return Value{s.Default, "default"}
}

// secret returns the lookup of keys: the environment comes before the .env file,
// and nothing else has any. With a home that the .env file names, its own keys alone
// count: a folder from elsewhere could otherwise have the user's keys sent wherever
// its config.yaml says.
func (src Sources) secret(home Value, dotenv map[string]string) func(string) (string, string) {
	return func(name string) (string, string) {
		if v, ok := src.Getenv(name); ok && v != "" && home.Origin != ".env" {
			return v, "environment"
		}
		if v := dotenv[name]; v != "" {
			return v, ".env"
		}
		return "", ""
	}
}

// byteOrderMark begins files that some editors write.
const byteOrderMark = "\ufeff"

// readDotEnv returns what a .env file sets. One that is not there sets nothing, nor
// does a folder of that name: some have their Python environment in one.
func readDotEnv(path string) (map[string]string, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return godotenv.UnmarshalBytes(bytes.TrimPrefix(data, []byte(byteOrderMark)))
}

// readFile returns config.yaml's settings by key, those of a section as
// "section.key", and its tables. A file that is not there has none.
func readFile(path string) (map[string]string, map[string]map[string]any, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(bytes.TrimPrefix(data, []byte(byteOrderMark)), &tree); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, nil, fmt.Errorf("%w: read %q: %s", ErrInvalid, path, first)
	}
	sections := map[string]map[string]any{}
	for _, name := range []string{Providers, Models} {
		section, ok := tree[name].(map[string]any)
		if !ok && tree[name] != nil {
			return nil, nil, fmt.Errorf("%w: %q: %s is no table of entries", ErrInvalid, path, name)
		}
		sections[name] = section
		delete(tree, name)
	}
	flat := map[string]string{}
	flatten("", tree, flat)
	for key := range flat {
		if !slices.ContainsFunc(settings, func(s Setting) bool { return s.Key == key }) || key == "home" {
			return nil, nil, fmt.Errorf("%w: %q has no setting %q", ErrInvalid, path, key)
		}
	}
	return flat, sections, nil
}

func flatten(prefix string, tree map[string]any, into map[string]string) {
	for k, v := range tree {
		if section, ok := v.(map[string]any); ok {
			flatten(prefix+k+".", section, into)
			continue
		}
		if v != nil { // else it is left open
			into[prefix+k] = fmt.Sprint(v)
		}
	}
}

// Value returns the setting's text and origin. The key must be one of Settings.
func (c *Config) Value(key string) Value { return c.values[key] }

// Section returns the entries of one of config.yaml's tables (Providers, Models).
func (c *Config) Section(name string) map[string]any { return c.sections[name] }

// Secret returns the value of an environment variable that holds a key, and where
// it was found: "environment" or ".env"; "" if nowhere.
func (c *Config) Secret(name string) (value, origin string) { return c.secret(name) }

// Text returns a setting's text.
func (c *Config) Text(key string) string { return c.values[key].Text }

// Bool returns a switch. Load has checked that it is one.
func (c *Config) Bool(key string) bool {
	b, _ := strconv.ParseBool(c.Text(key))
	return b
}

// Int returns a whole number. Load has checked that it is one.
func (c *Config) Int(key string) int {
	n, _ := strconv.Atoi(c.Text(key))
	return n
}

// Number returns a number. Load has checked that it is one.
func (c *Config) Number(key string) float64 {
	f, _ := strconv.ParseFloat(c.Text(key), 64)
	return f
}
