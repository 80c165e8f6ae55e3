package ollama

import (
	"context"
	"fmt"

	"github.com/ollama/ollama/api"
)

// Pull makes the server fetch the model called name ("qwen3:8b") from where such
// a name leads: another machine. So it is ErrOffline unless Options.AllowPull
// says otherwise, and a model that would run elsewhere is ErrCloudModel. What
// was fetched before an interruption is kept by the server and not fetched again.
// A name that leads to no model is ErrModelNotFound.
func (c *Client) Pull(ctx context.Context, name string, progress func(Progress)) error {
	if err := c.pull(ctx, name, progress); err != nil {
		return fmt.Errorf("pull %q: %w", name, err)
	}
	return nil
}

func (c *Client) pull(ctx context.Context, name string, progress func(Progress)) error {
	if progress == nil {
		progress = func(Progress) {}
	}
	switch {
	case !c.allowPull:
		return hinted{ErrOffline, "leave out --offline and RETORT_OFFLINE to let the server fetch it"}
	case isCloudName(name) && !c.allowCloud:
		return refuseCloud()
	}
	err := c.untilSuccess(ctx, toTheEnd(progress), func(take func(api.ProgressResponse) error) error {
		return c.api.Pull(ctx, &api.PullRequest{Model: name}, take)
	})
	if err != nil && err.Error() == noManifest {
		return hinted{fmt.Errorf("%w: %w", ErrModelNotFound, err), "check its name and its tag"}
	}
	return err
}

// noManifest is all that the server says when the name leads to no model.
const noManifest = "pull model manifest: file does not exist"

// toTheEnd says of each file that all of it is there once the server goes on to
// the next: it reports by the clock, and often not when a file ends.
func toTheEnd(report func(Progress)) func(Progress) {
	var last Progress
	return func(p Progress) {
		if p.Path != last.Path && last.Done < last.Total {
			last.Done = last.Total
			report(last)
		}
		last = p
		report(p)
	}
}
