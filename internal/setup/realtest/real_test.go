// Package realtest sets up everything for real. It stands apart so that the
// fakes of the other tests, which run their own binary, start without the engine.
package realtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"retort/internal/setup"
	"retort/local/llamacpp"
	"retort/models"
)

// realEngine joins setup to the engine as cmd does.
type realEngine struct{}

func (realEngine) Find(dir string) (setup.Library, error) {
	lib, err := llamacpp.Find(dir)
	return setup.Library{Path: lib.Path, Version: lib.Version, Origin: lib.Origin}, err
}
func (realEngine) Probe(dir string) error { return llamacpp.Probe(dir) }
func (realEngine) Download(ctx context.Context, dir string, progress func(done, total int64)) error {
	return llamacpp.Download(ctx, dir, progress)
}

// logged shows the steps of a real set-up in the test's log.
type logged struct {
	t       *testing.T
	title   string
	started time.Time
	bytes   int64
}

func (l *logged) Start(title string, _ int64) { l.title, l.started, l.bytes = title, time.Now(), 0 }
func (l *logged) Add(n int64)                 { l.bytes += n }
func (l *logged) Note(string)                 {}
func (l *logged) Done() {
	l.t.Logf("%-60s %6.1fs %d bytes", l.title, time.Since(l.started).Seconds(), l.bytes)
}

// TestInstall_real gets everything through the machine's own clients: into
// RETORT_TEST_SETUP_HOME where that is set, else into a folder that is thrown
// away.
func TestInstall_real(t *testing.T) {
	if os.Getenv("RETORT_TEST_SETUP") == "" {
		t.Skip("set RETORT_TEST_SETUP=1 to install everything (3 GB)")
	}
	home := os.Getenv("RETORT_TEST_SETUP_HOME")
	if home == "" {
		home = t.TempDir()
	}
	registry, err := models.Open(filepath.Join(home, "models"))
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile("../../../scripts/requirements.lock")
	if err != nil {
		t.Fatal(err)
	}
	pieces := setup.New(setup.Options{
		Home: home, Env: os.Environ(), Engine: realEngine{},
		Registry: registry, Models: models.Catalogue(), Lock: lock,
	})
	for _, run := range []string{"first", "second"} {
		start := time.Now()
		if err := setup.Install(t.Context(), home, pieces, &logged{t: t}); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s run: %s", run, time.Since(start).Round(time.Millisecond))
	}
	for _, piece := range pieces {
		if s := piece.Status(t.Context()); !s.OK || s.Version == "" || s.Origin == "" {
			t.Errorf("%+v", s)
		} else {
			t.Logf("%+v", s)
		}
	}
}
