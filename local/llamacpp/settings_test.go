package llamacpp

import (
	"strings"
	"testing"
)

func TestSettings_nameTheirReasons(t *testing.T) {
	m := openTiny(t, tinyModel(t, "llama"), Options{ContextSize: 512})
	got := make(map[string]string)
	for _, s := range m.Settings() {
		if s.Name == "" || s.Value == "" || s.Reason == "" {
			t.Errorf("incomplete: %+v", s)
		}
		if got[s.Name] != "" {
			t.Errorf("%s is there twice", s.Name)
		}
		got[s.Name] = s.Value
	}
	for name, want := range map[string]string{
		"threads": "1", "batch": "256", "answers at once": "16", "queue": "256", "flash attention": "off",
		"KV cache": "f16", "GPU layers": "0", "context": "512", "KV cells": "10240",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
	if !strings.HasSuffix(got["memory"], "MB") {
		t.Errorf("memory = %q", got["memory"])
	}
	if list := testEngine(t).Settings(Options{}); len(list) < 7 {
		t.Errorf("%d settings of the machine", len(list))
	}
}

func TestSettings_GPU(t *testing.T) {
	for want, s := range map[string]settings{
		"0: the engine found no GPU that it has a backend for":    {},
		"0: the model does not fit into the free memory of CUDA0": {gpu: gpu{name: "CUDA0"}},
		"all: CUDA0 computes them":                                {gpu: gpu{name: "CUDA0"}, layers: allLayers},
	} {
		if got := s.layersSetting(); got.Value+": "+got.Reason != want {
			t.Errorf("%+v: %q, want %q", s, got.Value+": "+got.Reason, want)
		}
	}
}
