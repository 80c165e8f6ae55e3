package dataset

import (
	"time"

	"retort/llm"
)

// Example is one stored answer that a model may later be trained on. The first
// six fields are the training record that users see and exchange; the rest say
// where it came from.
type Example struct {
	Messages     []llm.Message `json:"messages"`      // what was asked, oldest first
	Response     string        `json:"response"`      // the answer that was kept
	QualityScore float64       `json:"quality_score"` // 0 to 1, bonuses included; see Policy
	TaskType     string        `json:"task_type"`
	ModelsAgreed bool          `json:"models_agreed"`
	UserFeedback int           `json:"user_feedback,omitempty"` // 1 to 5; 0 is none yet

	// BaseQuality is the quality as it was first judged, 0 to 1. QualityScore is
	// made from it by Policy.Score, so that rating twice adds no bonus twice. Nil
	// means that QualityScore is still that first judgement.
	BaseQuality *float64 `json:"base_quality,omitempty"`

	ID         string      `json:"id"`         // "sha256:" and 64 hex digits of the content; see Identify
	Split      Split       `json:"split"`      // fixed at birth by the content of Messages
	CreatedAt  time.Time   `json:"created_at"` // UTC
	Source     Source      `json:"source"`
	Candidates []Candidate `json:"candidates,omitempty"` // every answer that was considered

	// Rejected are answers to Messages that the user, or whoever made the data,
	// thinks worse than Response. They are no part of the identity.
	Rejected []string `json:"rejected,omitempty"`
}

// Split says which side of training an example is on, for ever.
type Split string

// The two sides.
const (
	SplitTrain   Split = "train"
	SplitHeldOut Split = "heldout" // never trained on; what candidates are tested with
)

// Source says how an example came to be.
type Source struct {
	Kind     string   `json:"kind"`               // "ensemble", "distill", "import" or "manual"
	Name     string   `json:"name,omitempty"`     // the file it was imported from, or the run of distill
	Models   []string `json:"models,omitempty"`   // IDs of the members that gave the response
	Strategy string   `json:"strategy,omitempty"` // the ensemble's
	Seed     *int64   `json:"seed,omitempty"`
	Terms    string   `json:"terms,omitempty"` // terms class of the teachers: "open", "restricted"
	CostUSD  float64  `json:"cost_usd,omitempty"`

	// VariationOf is the digest of the question that this one was varied from; ""
	// if nobody but its author thought of it.
	VariationOf string `json:"variation_of,omitempty"`
}

// Candidate is one answer that an ensemble considered.
type Candidate struct {
	Model    string  `json:"model"`
	Response string  `json:"response"`
	Score    float64 `json:"score"` // 0 to 1, by the ensemble's method
	Error    string  `json:"error,omitempty"`
}
