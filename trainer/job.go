package trainer

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
)

// Job is what a run trains: the content of job.json, which the Python side
// reads. It holds every setting, so that equal jobs over equal data are equal
// runs.
type Job struct {
	ID           string `json:"id"`     // names the run and its directory
	Method       string `json:"method"` // "sft"
	Base         Base   `json:"base"`
	HFBase       string `json:"hf_base"`                 // folder that holds the unpacked base; filled on first use
	ChatTemplate string `json:"chat_template,omitempty"` // Jinja; empty means the one in the GGUF
	Hyper
	Profile Profile `json:"profile"`
	Threads int     `json:"threads"` // CPU threads of the training process
}

// Base is the model that the adapter is for.
type Base struct {
	ID           string `json:"id"`
	GGUF         string `json:"gguf"`   // path of the file
	Digest       string `json:"digest"` // "sha256:<hex>" of the file
	Architecture string `json:"architecture"`
}

// MethodSFT is supervised fine-tuning: the model learns to give the kept answers.
const MethodSFT = "sft"

// Hyper are the settings that decide what is learnt.
type Hyper struct {
	Seed     int64    `json:"seed"`
	LoRA     LoRA     `json:"lora"`
	Train    Schedule `json:"train"`
	FastLoss bool     `json:"fast_loss"` // compute logits of the completion's tokens alone; equal loss, less work
}

// LoRA is the shape of the adapter.
type LoRA struct {
	Rank    int     `json:"rank"`
	Alpha   float64 `json:"alpha"` // the adapter is scaled by Alpha/Rank
	Dropout float64 `json:"dropout"`
	Targets string  `json:"targets"` // "all-linear"
}

// Schedule is the course of the training.
type Schedule struct {
	Epochs               int     `json:"epochs"`
	BatchSize            int     `json:"batch_size"` // examples in one pass
	GradientAccumulation int     `json:"gradient_accumulation"`
	LearningRate         float64 `json:"learning_rate"`
	WarmupRatio          float64 `json:"warmup_ratio"` // of all steps
	Decay                string  `json:"schedule"`     // "linear", "cosine" or "constant"
	WeightDecay          float64 `json:"weight_decay"`
	MaxLength            int     `json:"max_length"`       // tokens; longer examples are left out
	CheckpointSteps      int     `json:"checkpoint_steps"` // steps from one checkpoint to the next
}

// DefaultHyper returns the settings that were measured to work on small models
// and a few hundred examples. They are the same for every profile, so that a
// run gives the same model wherever it is trained; only where memory allows it
// longer examples are taken and checkpoints are rarer.
func DefaultHyper(p Profile) Hyper {
	h := Hyper{
		Seed: 7,
		LoRA: LoRA{Rank: 16, Alpha: 32, Targets: "all-linear"},
		Train: Schedule{Epochs: 3, BatchSize: 8, GradientAccumulation: 1, LearningRate: 5e-4, WarmupRatio: 0.05,
			Decay: "linear", MaxLength: 1024, CheckpointSteps: 20},
		FastLoss: true,
	}
	if p == ProfileCUDA {
		h.Train.MaxLength, h.Train.CheckpointSteps = 4096, 100
	}
	return h
}

// Profile says what kind of processor a run trains on.
type Profile string

// The two profiles.
const (
	ProfileCPU  Profile = "cpu"
	ProfileCUDA Profile = "cuda"
)

// DetectProfile returns ProfileCUDA where the machine has an NVIDIA device that
// CUDA_VISIBLE_DEVICES does not hide.
func DetectProfile() Profile {
	// The second is how WSL shows its graphics card.
	return detectProfile("/dev/nvidia[0-9]*", "/dev/dxg")
}

func detectProfile(devices ...string) Profile {
	if v, set := os.LookupEnv("CUDA_VISIBLE_DEVICES"); set && (v == "" || v[0] == '-') {
		return ProfileCPU
	}
	for _, pattern := range devices {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return ProfileCUDA
		}
	}
	return ProfileCPU
}

// withDefaults fills what has only one sensible value on this machine.
func (j Job) withDefaults() Job {
	if j.Method == "" {
		j.Method = MethodSFT
	}
	if j.Profile == "" {
		j.Profile = DetectProfile()
	}
	if j.Threads == 0 {
		j.Threads = runtime.NumCPU()
	}
	if j.Hyper == (Hyper{}) {
		j.Hyper = DefaultHyper(j.Profile)
	}
	return j
}

var runID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// validate reports the first setting that cannot be right.
func (j Job) validate() error {
	t := j.Train
	for _, check := range []struct {
		ok   bool
		want string
	}{
		{runID.MatchString(j.ID), "id: want letters, digits, '.', '_' and '-'"},
		{j.Method == MethodSFT, `method: want "sft"`},
		{j.Profile == ProfileCPU || j.Profile == ProfileCUDA, `profile: want "cpu" or "cuda"`},
		{j.Base.GGUF != "" && j.Base.Digest != "", "base: want a GGUF file and its digest"},
		{j.HFBase != "", "hf_base: want a folder"},
		{j.Seed >= 0 && j.Seed <= math.MaxUint32, "seed: want 0 to 4294967295"},
		{j.Threads > 0, "threads: want at least 1"},
		{j.LoRA.Rank >= 1 && j.LoRA.Rank <= 1024, "lora rank: want 1 to 1024"},
		{j.LoRA.Alpha > 0, "lora alpha: want above 0"},
		{j.LoRA.Dropout >= 0 && j.LoRA.Dropout < 1, "lora dropout: want 0 to below 1"},
		{j.LoRA.Targets != "", "lora targets: want the layers to adapt"},
		{t.Epochs >= 1, "epochs: want at least 1"},
		{t.BatchSize >= 1, "batch_size: want at least 1"},
		{t.GradientAccumulation >= 1, "gradient_accumulation: want at least 1"},
		{t.LearningRate > 0 && t.LearningRate < 1, "learning_rate: want above 0 and below 1"},
		{t.WarmupRatio >= 0 && t.WarmupRatio <= 1, "warmup_ratio: want 0 to 1"},
		{t.Decay == "linear" || t.Decay == "cosine" || t.Decay == "constant", "schedule: want linear, cosine or constant"},
		{t.WeightDecay >= 0, "weight_decay: want 0 or more"},
		{t.MaxLength >= 2, "max_length: want at least 2 tokens"},
		{t.CheckpointSteps >= 1, "checkpoint_steps: want at least 1"},
	} {
		if !check.ok {
			return errors.New(check.want)
		}
	}
	return nil
}

// checkRunID keeps run names from being paths.
func checkRunID(id string) error {
	if !runID.MatchString(id) {
		return fmt.Errorf("run %q: %w", id, ErrNoRun)
	}
	return nil
}
