package ollama

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/types/model"

	"retort/llm"
)

// facts is what the server knows of a model.
type facts struct {
	stop []string
	llm.Description
}

// look returns what the server knows of the model, and refuses one that runs
// elsewhere before anything of a conversation is sent.
func (m *Model) look(ctx context.Context) (*facts, error) {
	if !m.client.allowCloud && isCloudName(m.name) {
		return nil, refuseCloud()
	}
	if f := m.facts.Load(); f != nil {
		return f, nil
	}
	resp, err := m.client.api.Show(ctx, &api.ShowRequest{Model: m.name})
	if err != nil {
		return nil, m.client.cause(ctx, err)
	}
	if resp.RemoteHost != "" && !m.client.allowCloud {
		return nil, refuseCloud()
	}
	version, err := m.client.Version(ctx)
	if err != nil {
		return nil, err
	}
	f, err := describe(resp, version)
	if err != nil {
		return nil, err
	}
	f.Local = m.client.local && resp.RemoteHost == ""
	m.facts.Store(f)
	return f, nil
}

func refuseCloud() error {
	return hinted{ErrCloudModel, "choose a local model, or allow cloud models in the configuration"}
}

func describe(resp *api.ShowResponse, version string) (*facts, error) {
	can := resp.Capabilities
	if len(can) == 0 {
		can = guessCapabilities(resp)
	}
	if !slices.Contains(can, model.CapabilityCompletion) {
		return nil, fmt.Errorf("chat with a model that is for %v: %w", can, llm.ErrUnsupported)
	}
	return &facts{
		stop: stopTexts(resp.Parameters),
		Description: llm.Description{
			ContextSize: contextLimit(resp.Parameters),
			Images:      slices.Contains(can, model.CapabilityVision),
			Tools:       slices.Contains(can, model.CapabilityTools),
			Logprobs:    atLeast(version, 0, 12, 11),
			Formats:     atLeast(version, 0, 5, 0),
		},
	}, nil
}

// guessCapabilities is for servers before 0.6.4, which do not say: they too take
// tools for models whose template shows them, and images for those with a
// projector.
func guessCapabilities(resp *api.ShowResponse) []model.Capability {
	can := []model.Capability{model.CapabilityCompletion}
	if strings.Contains(resp.Template, ".Tools") {
		can = append(can, model.CapabilityTools)
	}
	if len(resp.ProjectorInfo) > 0 {
		can = append(can, model.CapabilityVision)
	}
	return can
}

// atLeast compares a server's version with a release. One that is no release
// ("0.0.0" is a build without a number) counts as new.
func atLeast(version string, want ...int) bool {
	version, _, _ = strings.Cut(version, "-")
	if version == "0.0.0" {
		return true
	}
	var got []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return true
		}
		got = append(got, n)
	}
	return slices.Compare(got, want) >= 0
}
