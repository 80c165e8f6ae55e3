package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"retort/internal/files"
)

// Result is the end of a run that succeeded: the content of result.json.
type Result struct {
	Status    string             `json:"status"`         // "complete"
	Adapter   string             `json:"adapter"`        // the GGUF, relative to the run directory
	SHA256    string             `json:"adapter_sha256"` // of that file, in hex
	Rank      int                `json:"rank"`
	Alpha     float64            `json:"alpha"`
	Steps     int                `json:"steps"`
	Examples  int                `json:"examples"`
	Loss      float64            `json:"loss"`       // of the last steps, nats per token
	LossFirst float64            `json:"loss_first"` // of the first steps
	Seconds   map[string]float64 `json:"seconds"`    // by stage
	Versions  map[string]string  `json:"versions"`   // of Python and its packages
	Profile   Profile            `json:"profile"`
}

// Result returns the run's result after checking that it is whole: the adapter
// is there and has the digest that was noted when it was written.
func (r *Run) Result() (Result, error) {
	data, err := os.ReadFile(r.path("result.json"))
	if errors.Is(err, os.ErrNotExist) {
		return Result{}, errors.New("no result.json")
	}
	if err != nil {
		return Result{}, err
	}
	var res Result
	if err := json.Unmarshal(data, &res); err != nil {
		return Result{}, fmt.Errorf("result.json: %v", err)
	}
	switch {
	case res.Status != "complete":
		return Result{}, fmt.Errorf("result.json: status is %q", res.Status)
	case !filepath.IsLocal(res.Adapter):
		return Result{}, fmt.Errorf("result.json: adapter %q is not in the run directory", res.Adapter)
	case res.Rank < 1 || res.Alpha <= 0:
		return Result{}, fmt.Errorf("result.json: rank %d, alpha %g", res.Rank, res.Alpha)
	}
	sum, err := files.SHA256(r.path(res.Adapter))
	if err != nil {
		return Result{}, err
	}
	if sum != strings.TrimPrefix(res.SHA256, "sha256:") {
		return Result{}, fmt.Errorf("%s: digest is not the one in result.json", res.Adapter)
	}
	return res, nil
}

// AdapterPath returns where res's adapter lies.
func (r *Run) AdapterPath(res Result) string { return r.path(res.Adapter) }
