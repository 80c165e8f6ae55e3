package remote

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"retort/llm"
)

const canary = "canary-7f3a91c2e5"

func TestNewEndpoint_refusesBadOptions(t *testing.T) {
	for name, opts := range map[string]Options{
		"no model":     {},
		"no scheme":    {Model: "m", BaseURL: "api.example.com/v1"},
		"not http":     {Model: "m", BaseURL: "file:///etc/passwd"},
		"password":     {Model: "m", BaseURL: "https://me:" + canary + "@api.example.com"},
		"query":        {Model: "m", BaseURL: "https://api.example.com/?key=" + canary},
		"fragment":     {Model: "m", BaseURL: "https://api.example.com/#" + canary},
		"unreadable":   {Model: "m", BaseURL: "https://" + canary + "\x00"},
		"key in clear": {Model: "m", BaseURL: "http://api.example.com/", Key: NewSecret(canary)},
	} {
		if _, err := NewEndpoint(opts, "x", "https://x.example"); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	e, err := NewEndpoint(Options{Model: "m"}, "x", "https://x.example/v1/")
	if err != nil || e.ID != "x/m" || e.Provider() != "x" || e.URL() != "https://x.example/v1" || e.Local() {
		t.Errorf("defaults: %v, error %v", e, err)
	}
	if e, err = NewEndpoint(Options{Model: "m", BaseURL: "http://127.0.0.1:1", Key: NewSecret(canary)}, "x", ""); err != nil || !e.Local() {
		t.Errorf("this machine: error %v", err)
	}
}

func TestIsLocal(t *testing.T) {
	for url, want := range map[string]bool{"http://localhost:1/v1": true, "http://127.0.0.9": true, "http://[::1]:8": true,
		"https://api.openai.com": false, "http://127.0.0.1.example.com": false, "http://192.168.1.2": false, "": false, "\x00": false} {
		if got := IsLocal(url); got != want {
			t.Errorf("IsLocal(%q) = %t", url, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"seconds":       {http.Header{"Retry-After": {"20"}}, 20 * time.Second},
		"half a second": {http.Header{"Retry-After": {"0.5"}}, 500 * time.Millisecond},
		"milliseconds":  {http.Header{"Retry-After": {"1"}, "Retry-After-Ms": {"250"}}, 250 * time.Millisecond},
		"a date":        {http.Header{"Retry-After": {now.Add(time.Hour).Format(http.TimeFormat)}}, time.Hour},
		"a past date":   {http.Header{"Retry-After": {now.Add(-time.Hour).Format(http.TimeFormat)}}, 0},
		"negative":      {http.Header{"Retry-After": {"-3"}}, 0},
		"absurd":        {http.Header{"Retry-After": {"1e300"}}, 0},
		"not a number":  {http.Header{"Retry-After": {"NaN"}}, 0},
		"words":         {http.Header{"Retry-After": {"soon"}}, 0},
		"nothing":       {http.Header{}, 0},
	} {
		if got := retryAfter(tc.header, now); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestSampling_warnsOfWhatAThinkingModelLeavesOut(t *testing.T) {
	e, err := NewEndpoint(Options{Model: "m", Thinks: true}, "x", "https://x.example")
	if err != nil {
		t.Fatal(err)
	}
	got, warnings := e.Sampling(llm.Sampling{Temperature: new(0.5), TopP: new(0.5), TopK: new(3), MaxOutputTokens: 7})
	if got.Temperature != nil || got.TopP != nil || got.TopK != nil || got.MaxOutputTokens != 7 || len(warnings) != 3 {
		t.Errorf("sampling %+v, warnings %q", got, warnings)
	}
}

func TestStream_boundsTheWhole(t *testing.T) {
	s := newStream(strings.NewReader(strings.Repeat("data: x\n\n", 100)), nil)
	s.left = 100
	if out, err := io.ReadAll(s); err != nil || s.err != errTooLong || len(out) > 130 {
		t.Errorf("%d bytes, error %v and %v, want %v", len(out), err, s.err, errTooLong)
	}
}

// FuzzStream holds that a stream passes on every line of valid UTF-8 that is no
// comment, or says why not, and that half a surrogate pair is found exactly where
// encoding/json would put another character in its place.
func FuzzStream(f *testing.F) {
	for _, s := range []string{"data: {}\n\n", ": c\ndata: x\r\n\r\n", `"\ud83d"`, `"\ud83d\ude00"`, `"\\ud83d"`, `"\ude00\ud83d"`, "\xc3", `"\ufffd"`, `"\u00e9\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := newStream(strings.NewReader(text), nil)
		out, err := io.ReadAll(s)
		if err != nil {
			t.Fatal(err)
		}
		if s.err == nil && !utf8.Valid(out) {
			t.Errorf("passes on %q", out)
		}
		var decoded string
		if utf8.ValidString(text) && !strings.Contains(text, "\ufffd") && !strings.Contains(strings.ToLower(text), `\ufffd`) &&
			json.Unmarshal([]byte(text), &decoded) == nil {
			if lost := strings.ContainsRune(decoded, utf8.RuneError); lost != loneSurrogate([]byte(text)) {
				t.Errorf("loneSurrogate(%q) = %t", text, !lost)
			}
		}
	})
}
