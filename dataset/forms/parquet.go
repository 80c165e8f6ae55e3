package forms

import (
	"io"
	"time"

	"github.com/parquet-go/parquet-go"

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
	UserFeedback int32        `parquet:"user_feedback"` // 0 is none
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
	r := row{ID: ex.ID, TaskType: ex.TaskType, Split: string(ex.Split), QualityScore: ex.QualityScore,
		UserFeedback: int32(ex.UserFeedback), ModelsAgreed: ex.ModelsAgreed, Rejected: ex.Rejected,
		Source: ex.Source.Kind, Models: ex.Source.Models, Terms: ex.Source.Terms, CreatedAt: ex.CreatedAt}
	for _, m := range ex.Messages {
		r.Messages = append(r.Messages, rowMessage{string(m.Role), m.Content})
	}
	r.Messages = append(r.Messages, rowMessage{string(llm.RoleAssistant), ex.Response})
	return s.write(r)
}
