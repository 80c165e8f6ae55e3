package llamacpp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hybridgroup/yzma/pkg/download"
)

func answers(context.Context, string) error { return nil }

func TestDownload_pinsTheDigest(t *testing.T) {
	var got download.Target
	d := downloader{reach: answers, answer: time.Second, stall: time.Minute,
		install: func(_ context.Context, target download.Target, _ string, _ *watch) error {
			got = target
			return nil
		}}
	if err := d.run(t.Context(), t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	if tag, digest, err := download.ParsePinnedVersion(got.Version); tag == "" || digest == "" || err != nil {
		t.Errorf("version %q holds no tag with digest (%v)", got.Version, err)
	}
}

func TestDownload_withoutNetworkGivesUpSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := downloader{
			answer:  8 * time.Second,
			reach:   func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
			install: func(context.Context, download.Target, string, *watch) error { t.Error("installer ran"); return nil },
		}
		start := time.Now()
		err := d.run(t.Context(), "", nil)
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("error %v, want ErrUnreachable", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("gave up after %s, want 10 s or less", took)
		}
	})
}

func TestDownload_stalledTransferEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var calls int
		d := downloader{reach: answers, answer: time.Second, stall: time.Minute,
			install: func(_ context.Context, _ download.Target, _ string, watch *watch) error {
				_, err := io.ReadAll(watch.TrackProgress("", 0, 10, r))
				return err
			}}
		go w.Write([]byte("12345"))
		err := d.run(t.Context(), "", func(done, total int64) {
			calls++
			if done != 5 || total != 10 {
				t.Errorf("progress %d of %d, want 5 of 10", done, total)
			}
		})
		if err == nil || !strings.Contains(err.Error(), "no data for 1m") {
			t.Errorf("error %v, want one that names the stall", err)
		}
		w.Write([]byte("67890")) // the reader that was left behind
		w.Close()
		if calls != 1 {
			t.Errorf("%d progress calls, want 1: none after the return", calls)
		}
	})
}

func TestDownload_cancelReturnsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	block := make(chan struct{})
	defer close(block)
	d := downloader{reach: answers, answer: time.Second, stall: time.Minute,
		install: func(context.Context, download.Target, string, *watch) error {
			cancel()
			<-block
			return nil
		}}
	if err := d.run(ctx, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestReach(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	if err := reach(t.Context(), srv.URL); err != nil {
		t.Errorf("a server that answers 404: %v, want nil", err)
	}
	srv.Close()
	if err := reach(t.Context(), srv.URL); err == nil {
		t.Error("a closed server: nil, want an error")
	}
}

func TestOfficialTarget(t *testing.T) {
	for _, c := range []struct{ goos, goarch, processor string }{
		{"linux", "amd64", "cpu"}, {"linux", "arm64", "cpu"}, {"darwin", "arm64", "metal"}, {"windows", "amd64", "cpu"},
		{"plan9", "amd64", ""}, {"linux", "riscv64", ""},
	} {
		target, err := officialTarget(c.goos, c.goarch)
		if got := target.Processor.String(); got != c.processor || (err == nil) != (c.processor != "") {
			t.Errorf("%s/%s: processor %q, error %v; want %q", c.goos, c.goarch, got, err, c.processor)
			continue
		}
		if err == nil {
			if urls, err := download.DefaultResolver.Resolve(target); err != nil || len(urls) == 0 {
				t.Errorf("%s/%s: no build: %v", c.goos, c.goarch, err)
			}
		}
	}
}

func TestDownload_official(t *testing.T) {
	if os.Getenv("RETORT_TEST_SETUP") == "" {
		t.Skip("set RETORT_TEST_SETUP=1 to use the network")
	}
	dir := t.TempDir()
	start := time.Now()
	err := Download(t.Context(), dir, nil)
	if errors.Is(err, ErrUnreachable) {
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("gave up after %s", took)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Find(dir); err != nil {
		t.Error(err)
	}
	if err := Probe(filepath.Clean(dir)); err != nil {
		t.Error(err)
	}
}
