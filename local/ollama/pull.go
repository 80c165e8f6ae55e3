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
	return c.untilSuccess(ctx, progress, func(take func(api.ProgressResponse) error) error {
		return c.api.Pull(ctx, &api.PullRequest{Model: name}, take)
	})
}
