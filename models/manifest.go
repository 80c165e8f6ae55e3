package models

import "time"

// Kind says what a model is made of.
type Kind string

// The three kinds.
const (
	KindBase    Kind = "base"    // a GGUF as it was imported
	KindAdapter Kind = "adapter" // a LoRA adapter over a base of the registry
	KindMerged  Kind = "merged"  // an adapter written into a copy of its base
)

// Manifest is what the registry knows of one model. It is stored as
// manifest.json in the model's folder; paths in it are relative to that folder.
type Manifest struct {
	ID            string    `json:"id"` // name in every command; see ValidID
	Kind          Kind      `json:"kind"`
	Architecture  string    `json:"architecture"`   // general.architecture of the GGUF
	File          string    `json:"file,omitempty"` // the model's GGUF; empty for an adapter
	Digest        string    `json:"digest"`         // "sha256:<hex>" of File, or of Adapter.File
	Size          int64     `json:"size"`           // bytes of the file that Digest names
	ContextLength int       `json:"context_length"` // tokens the model was trained for
	Quantization  string    `json:"quantization,omitempty"`
	Template      string    `json:"template,omitempty"` // overrides the file's own: a Jinja chat template, or the name of a built-in one
	License       string    `json:"license,omitempty"`  // SPDX id or name of the terms
	Source        string    `json:"source,omitempty"`   // where it came from, for people
	CreatedAt     time.Time `json:"created_at"`

	Parent       string   `json:"parent,omitempty"`        // ID of the base, or of the adapter that was merged
	ParentDigest string   `json:"parent_digest,omitempty"` // digest of the parent when this was made
	Adapter      *Adapter `json:"adapter,omitempty"`       // set for KindAdapter
	Run          string   `json:"run,omitempty"`           // the training run that made it
	TaskType     string   `json:"task_type,omitempty"`     // what it was trained for
	Gate         *Gate    `json:"gate,omitempty"`          // the test it passed or failed
	Stale        *Stale   `json:"stale,omitempty"`         // nil unless it should be trained anew; see MarkStale
}

// Stale says why a model should be trained anew, though it works as before.
type Stale struct {
	Why string    `json:"why"` // one line for people
	At  time.Time `json:"at"`  // UTC
}

// Adapter describes a LoRA adapter.
type Adapter struct {
	File  string  `json:"file"`
	Rank  int     `json:"rank"`
	Alpha float64 `json:"alpha"`
	Scale float64 `json:"scale"` // factor the engine applies on top of alpha/rank; 1 is as trained
}

// Gate is the result of testing a model against the one it would replace, on
// the same held-out items.
type Gate struct {
	Passed            bool    `json:"passed"`
	Items             int     `json:"items"`
	Accuracy          float64 `json:"accuracy"`
	Against           string  `json:"against"` // ID of the model it was compared with
	ReferenceAccuracy float64 `json:"reference_accuracy"`
	PValue            float64 `json:"p_value"` // one-sided exact McNemar: chance of so many wins if it were no better
	Reason            string  `json:"reason"`  // one line for people
}
