package main

import (
	"fmt"
	"strings"

	"retort/ensemble"
	"retort/llm"
)

// outcomeView is what users see of an outcome; its JSON names are stable.
type outcomeView struct {
	Question   string           `json:"question"`
	Answer     string           `json:"answer"`
	Strategy   string           `json:"strategy"`
	TaskType   string           `json:"task_type"`
	Confidence float64          `json:"confidence"`
	Calibrated bool             `json:"calibrated"`
	Raw        float64          `json:"raw_confidence"`
	Method     string           `json:"method"`
	Agreement  float64          `json:"agreement"`
	Agreed     bool             `json:"models_agreed"`
	Signals    ensemble.Signals `json:"signals"`
	ModelsUsed []string         `json:"models_used"`
	AvgLatency float64          `json:"avg_latency_seconds"`
	Seconds    float64          `json:"seconds"`
	TotalCost  float64          `json:"total_cost_usd"`
	Usage      llm.Usage        `json:"usage"`
	Members    []memberView     `json:"members"`
	Judges     []judgeView      `json:"judges,omitempty"`
	Notes      []string         `json:"notes,omitempty"`
	Responses  []responseView   `json:"responses"`
	Example    *collected       `json:"example,omitempty"`
}

type memberView struct {
	Model   string  `json:"model"`
	Answer  string  `json:"answer,omitempty"`
	Share   float64 `json:"share"`
	Score   float64 `json:"score"`
	Quality float64 `json:"quality"`
	Samples int     `json:"samples"`
	Latency float64 `json:"latency_seconds"`
	Cost    float64 `json:"cost_usd"`
	Skipped bool    `json:"skipped,omitempty"`
	Error   string  `json:"error,omitempty"`
}

type judgeView struct {
	Model    string `json:"model"`
	Compared int    `json:"compared"`
	Ties     int    `json:"ties"`
	Error    string `json:"error,omitempty"`
}

type responseView struct {
	Model    string  `json:"model"`
	Response string  `json:"response"`
	Score    float64 `json:"score"`
	Latency  float64 `json:"latency_seconds"`
}

func newOutcomeView(question string, o ensemble.Outcome) outcomeView {
	v := outcomeView{Question: question, Answer: strings.TrimSpace(o.Answer), Strategy: string(o.Strategy), TaskType: o.TaskType,
		Confidence: o.Confidence, Calibrated: o.Calibrated, Raw: o.Signals.Raw(), Method: o.Method, Agreement: o.Agreement, Agreed: o.Agreed,
		Signals: o.Signals, Usage: o.Usage, Notes: o.Notes,
		AvgLatency: o.AverageLatency().Seconds(), Seconds: o.Elapsed.Seconds(), TotalCost: o.CostUSD}
	for _, m := range o.Members {
		mv := memberView{Model: m.Model, Answer: strings.TrimSpace(m.Answer), Share: m.Share, Score: m.Score, Quality: m.Quality,
			Samples: m.Samples, Latency: m.Latency.Seconds(), Cost: m.CostUSD, Skipped: m.Skipped}
		if m.Err != nil {
			mv.Error = oneLine(m.Err)
		} else if m.Samples > 0 {
			v.ModelsUsed = append(v.ModelsUsed, m.Model)
		}
		v.Members = append(v.Members, mv)
	}
	for _, j := range o.Judges {
		jv := judgeView{Model: j.Model, Compared: j.Compared, Ties: j.Ties}
		if j.Err != nil {
			jv.Error = oneLine(j.Err)
		}
		v.Judges = append(v.Judges, jv)
	}
	for _, c := range o.Candidates {
		v.Responses = append(v.Responses, responseView{c.Model, strings.TrimSpace(c.Text), c.Score, c.Latency.Seconds()})
	}
	return v
}

func (v outcomeView) print(r *retort) {
	if v.Answer != "" {
		r.printf("%s\n\n", v.Answer)
	}
	calibrated := map[bool]string{true: "calibrated on your ratings", false: "uncalibrated"}[v.Calibrated]
	r.printf("📊 Metadata:\n  Strategy: %s\n  Task type: %s\n  Confidence: %.0f%% (%s; %s)\n  Agreement: %.0f%%\n  Models used: %d (%s)\n  Avg latency: %.1fs\n  Total cost: $%.4f\n\n",
		v.Strategy, v.TaskType, 100*v.Confidence, calibrated, v.Method, 100*v.Agreement, len(v.ModelsUsed), strings.Join(v.ModelsUsed, ", "), v.AvgLatency, v.TotalCost)
	r.printf("🔍 All model responses:\n")
	for _, resp := range v.Responses {
		r.printf("  • %s: %s\n", resp.Model, firstLine(resp.Response, 100))
	}
	r.printf("\n👥 Members:\n")
	for _, m := range v.Members {
		r.printf("  • %s\n", m.line())
	}
	for _, j := range v.Judges {
		r.printf("  • judge %s\n", j.line())
	}
	for _, note := range v.Notes {
		r.printf("  ⚠ %s\n", note)
	}
	if v.Example != nil {
		r.printf("\n%s\n", v.Example.line())
	}
}

func (m memberView) line() string {
	switch {
	case m.Error != "":
		return fmt.Sprintf("%s failed: %s", m.Model, m.Error)
	case m.Samples == 0:
		return m.Model + " was not needed"
	}
	return fmt.Sprintf("%s: score %.2f, quality %.1f, %.1fs, $%.4f", m.Model, m.Score, m.Quality, m.Latency, m.Cost)
}

func (j judgeView) line() string {
	if j.Error != "" {
		return fmt.Sprintf("%s failed: %s", j.Model, j.Error)
	}
	return fmt.Sprintf("%s: %d pairs, %d ties", j.Model, j.Compared, j.Ties)
}
