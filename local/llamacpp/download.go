package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/hybridgroup/yzma/pkg/download"
)

// ErrUnreachable means that the place of the official builds did not answer.
// It is found with errors.Is in what Download returns.
var ErrUnreachable = errors.New("the official builds cannot be reached")

// Download puts the official build of the engine that this program was made
// for into dir, which should be empty. Every file is checked against a digest
// that is fixed at build time. progress, where given, hears of bytes so far
// and bytes in all (0 while unknown); it is not called again once Download has
// returned. Without a network it gives up within ten seconds with an error
// that wraps ErrUnreachable.
func Download(ctx context.Context, dir string, progress func(done, total int64)) error {
	d := downloader{
		reach:   reach,
		install: install,
		answer:  8 * time.Second,
		stall:   time.Minute,
	}
	return d.run(ctx, dir, progress)
}

// downloader holds what tests replace: the two uses of the network, and how
// long to wait for an answer and for the next bytes.
type downloader struct {
	reach   func(ctx context.Context, url string) error
	install func(context.Context, download.Target, string, *watch) error
	answer  time.Duration
	stall   time.Duration
}

func (d downloader) run(ctx context.Context, dir string, progress func(done, total int64)) error {
	target, err := officialTarget(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return fmt.Errorf("download engine: %w", err)
	}
	if err := d.preflight(ctx, target); err != nil {
		return fmt.Errorf("download engine: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := newWatch(ctx, progress, d.stall, func() {
		cancel(fmt.Errorf("no data for %s", d.stall))
	})
	defer watch.stop()

	// The installer ignores ctx in parts of its way, so it runs beside us: a
	// cancelled call returns at once and the reader below ends the transfer.
	done := make(chan error, 1)
	go func() {
		done <- d.install(ctx, target, dir, watch)
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("download engine: %w", err)
	}
	return nil
}

// preflight asks every host that will be needed for any answer at all: the
// installer itself would try for minutes.
func (d downloader) preflight(ctx context.Context, target download.Target) error {
	tag, _, err := download.ParsePinnedVersion(target.Version)
	if err != nil {
		return err
	}
	target.Version = tag
	urls, err := download.DefaultResolver.Resolve(target)
	if err != nil {
		return err
	}
	answer, cancel := context.WithTimeout(ctx, d.answer)
	defer cancel()
	for _, url := range urls {
		if err := d.reach(answer, url); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %v", ErrUnreachable, err)
		}
	}
	return nil
}

// reach succeeds when the server of url answers, whatever it answers.
func reach(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// officialTarget names the official build for a system. Graphics cards other
// than Apple's are left to the library that a user names.
func officialTarget(goos, goarch string) (download.Target, error) {
	system, err := download.ParseOS(goos)
	if err != nil {
		return download.Target{}, fmt.Errorf("no official build for %s", goos)
	}
	arch, err := download.ParseArch(goarch)
	if err != nil {
		return download.Target{}, fmt.Errorf("no official build for %s/%s", goos, goarch)
	}
	processor := download.CPU
	if goos == "darwin" && goarch == "arm64" {
		processor = download.Metal
	}
	return download.Target{Arch: arch, OS: system, Processor: processor, Version: download.DefaultVersion}, nil
}

func install(ctx context.Context, target download.Target, dir string, w *watch) error {
	return download.Install(ctx, target, dir, w, nil, download.WithVerify(download.VerifyRequired))
}

// watch sits in the stream of a transfer: it reports bytes, ends the transfer
// when its context ends, and raises the alarm when no bytes come any more.
type watch struct {
	ctx   context.Context
	stall time.Duration
	alarm *time.Timer

	mu       sync.Mutex
	progress func(done, total int64) // nil once stopped
}

func newWatch(ctx context.Context, progress func(done, total int64), stall time.Duration, alarm func()) *watch {
	return &watch{ctx: ctx, progress: progress, stall: stall, alarm: time.AfterFunc(stall, alarm)}
}

func (w *watch) stop() {
	w.alarm.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress = nil
}

func (w *watch) report(done, total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.progress != nil {
		w.progress(done, total)
	}
}

// TrackProgress implements the installer's listener.
func (w *watch) TrackProgress(_ string, done, total int64, stream io.ReadCloser) io.ReadCloser {
	return &watchedStream{ReadCloser: stream, watch: w, done: done, total: total}
}

type watchedStream struct {
	io.ReadCloser
	watch       *watch
	done, total int64
}

func (s *watchedStream) Read(p []byte) (int, error) {
	if err := context.Cause(s.watch.ctx); err != nil {
		return 0, err
	}
	n, err := s.ReadCloser.Read(p)
	if n > 0 {
		s.watch.alarm.Reset(s.watch.stall)
		s.done += int64(n)
		s.watch.report(s.done, s.total)
	}
	return n, err
}
