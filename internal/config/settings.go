package config

import (
	"errors"
	"net/url"
	"strconv"
	"time"
)

// Setting is one thing that the owner can set.
type Setting struct {
	Key     string // in config.yaml; "a.b" is b in section a
	Env     string // environment variable, also in .env
	Default string
	Help    string
	check   func(string) error
}

// Settings lists every setting, home first.
func Settings() []Setting { return append([]Setting(nil), settings...) }

var settings = []Setting{
	{"home", "RETORT_HOME", "", "folder of all of Retort's data", anything},
	{"offline", "RETORT_OFFLINE", "false", "forbid every connection beyond this machine", isBool},
	{"engine_dir", "RETORT_ENGINE_DIR", "", "folder with a libllama of your own; empty uses the one that setup brings", anything},
	{"python", "RETORT_PYTHON", "", "Python 3.11 or newer for training; empty looks on PATH", anything},
	{"threads", "RETORT_THREADS", "0", "processor threads for the engine and training; 0 is all cores", isCount},
	{"ollama_url", "RETORT_OLLAMA_URL", "http://127.0.0.1:11434", "address of a running Ollama", isURL},
	{"ollama_cloud", "RETORT_OLLAMA_CLOUD", "false", "allow models that Ollama forwards to another machine", isBool},
	{"ollama_keep_alive", "RETORT_OLLAMA_KEEP_ALIVE", "", "how long Ollama keeps a model in memory after a request, such as 10m; empty leaves it to Ollama", isDuration},
	{"collect.min_quality", "RETORT_COLLECT_MIN_QUALITY", "0.7", "an answer is kept if its quality is above this", isShare},
	{"collect.agreement_bonus", "RETORT_COLLECT_AGREEMENT_BONUS", "0.05", "added to the quality where all models agreed", isShare},
	{"collect.feedback_bonus", "RETORT_COLLECT_FEEDBACK_BONUS", "0.1", "added for 4 or 5 stars from the user, taken off for 1 or 2", isShare},
}

func anything(string) error { return nil }

func isBool(s string) error {
	if _, err := strconv.ParseBool(s); err != nil {
		return errors.New("want true or false")
	}
	return nil
}

func isCount(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 0 {
		return errors.New("want a whole number, 0 or more")
	}
	return nil
}

func isShare(s string) error {
	if f, err := strconv.ParseFloat(s, 64); err != nil || !(f >= 0 && f <= 1) {
		return errors.New("want a number from 0 to 1")
	}
	return nil
}

func isDuration(s string) error {
	if d, err := time.ParseDuration(s); s != "" && (err != nil || d < 0) {
		return errors.New("want a time such as 90s or 10m, or nothing")
	}
	return nil
}

func isURL(s string) error {
	if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return errors.New("want an http:// or https:// address")
	}
	return nil
}
