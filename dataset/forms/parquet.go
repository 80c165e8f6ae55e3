package forms

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

	"retort/dataset"
	"retort/llm"
)

// row is an example as a row of a Parquet table. Messages are the whole
// conversation, the response last, as trainers want them.
type row struct {
	Messages     []rowMessage `parquet:"messages,list"`
	ID           string       `parquet:"id"`
	TaskType     string       `parquet:"task_type"`
	Split        string       `parquet:"split"`
	QualityScore float64      `parquet:"quality_score"`
	BaseQuality  *float64     `parquet:"base_quality,optional"` // before bonuses
	UserFeedback int32        `parquet:"user_feedback"`         // 0 is none
	ModelsAgreed bool         `parquet:"models_agreed"`
	Rejected     []string     `parquet:"rejected_answers,list"` // TRL takes "rejected" for its own
	Source       string       `parquet:"source"`
	Models       []string     `parquet:"models,list"`
	Terms        string       `parquet:"terms"`
	CreatedAt    time.Time    `parquet:"created_at,timestamp(millisecond)"`
}

type rowMessage struct {
	Role    string `parquet:"role"`
	Content string `parquet:"content"`
}

// rowGroup is how many rows are held before they are written.
const rowGroup = 4096

// parquetSink returns what writes a row, and what ends the file.
func parquetSink(w io.Writer) (put func(any) error, finish func() error) {
	pw := parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(rowGroup))
	return func(v any) error {
		_, err := pw.Write([]row{v.(row)})
		return err
	}, pw.Close
}

func layRow(s *sink, g group) error {
	if why := (images | tools).refusal(g.ex); why != "" {
		return s.leaveOut(why)
	}
	ex := g.ex
	r := row{ID: ex.ID, TaskType: ex.TaskType, Split: string(ex.Split), QualityScore: ex.QualityScore, BaseQuality: ex.BaseQuality,
		UserFeedback: int32(ex.UserFeedback), ModelsAgreed: ex.ModelsAgreed, Rejected: ex.Rejected,
		Source: ex.Source.Kind, Models: ex.Source.Models, Terms: ex.Source.Terms, CreatedAt: ex.CreatedAt}
	for _, m := range ex.Messages {
		r.Messages = append(r.Messages, rowMessage{string(m.Role), m.Content})
	}
	r.Messages = append(r.Messages, rowMessage{string(llm.RoleAssistant), ex.Response})
	return s.write(r)
}

// parseRow reads what layRow wrote. Which side it is on is not taken over: its
// content says it.
func parseRow(raw []byte) (dataset.Example, error) {
	ex, err := parseConversation(raw)
	if err != nil {
		return ex, err
	}
	var in struct {
		ID           string          `json:"id"`
		TaskType     string          `json:"task_type"`
		QualityScore float64         `json:"quality_score"`
		BaseQuality  *float64        `json:"base_quality"`
		UserFeedback int             `json:"user_feedback"`
		ModelsAgreed bool            `json:"models_agreed"`
		Rejected     []string        `json:"rejected_answers"`
		Source       *string         `json:"source"`
		Models       []string        `json:"models"`
		Terms        string          `json:"terms"`
		CreatedAt    json.RawMessage `json:"created_at"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return ex, err
	}
	ex.TaskType, ex.QualityScore, ex.BaseQuality = in.TaskType, in.QualityScore, in.BaseQuality
	ex.UserFeedback, ex.ModelsAgreed = in.UserFeedback, in.ModelsAgreed
	ex.Source = dataset.Source{Kind: KindImport, Terms: in.Terms}
	if in.Source != nil {
		ex.Source.Kind = *in.Source
	}
	if len(in.Rejected) > 0 {
		ex.Rejected = in.Rejected
	}
	if len(in.Models) > 0 {
		ex.Source.Models = in.Models
	}
	if given(in.CreatedAt) {
		if ex.CreatedAt, err = parseTime(in.CreatedAt); err != nil {
			return ex, err
		}
	}
	return ex, checkID(in.ID, ex)
}

// parseTime reads milliseconds since 1970, as in a table, or a time as text.
func parseTime(raw json.RawMessage) (t time.Time, err error) {
	var ms int64
	if json.Unmarshal(raw, &ms) == nil {
		t = time.UnixMilli(ms).UTC()
	} else if err := json.Unmarshal(raw, &t); err != nil {
		return t, err
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 { // else it could not be stored
		return t, fmt.Errorf("created in the year %d", t.Year())
	}
	return t, nil
}
