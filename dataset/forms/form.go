package forms

import (
	"fmt"
	"strings"
)

// Form is the name of a form.
type Form string

// The forms. Each line of the JSON forms is one object.
const (
	// Auto is found out from the first item that can be read.
	Auto Form = "auto"

	// Retort is the whole dataset.Example, scores, ratings and candidates included.
	Retort Form = "retort"

	// OpenAI is {"messages": [...]}, the last of them the answer.
	OpenAI Form = "openai"

	// TRLSFT is like OpenAI, with the arguments of tool calls as objects, which
	// chat templates want.
	TRLSFT Form = "trl-sft"

	// TRLPrompt is {"prompt": [messages], "completion": [message]}.
	TRLPrompt Form = "trl-sft-prompt"

	// TRLDPO is {"prompt": [messages], "chosen": [message], "rejected": [message]}.
	TRLDPO Form = "trl-dpo"

	// TRLKTO is {"prompt": [messages], "completion": [message], "label": true or false}.
	TRLKTO Form = "trl-kto"

	// ShareGPT is {"conversations": [{"from": "human", "value": "..."}, ...]}.
	ShareGPT Form = "sharegpt"

	// Alpaca is {"instruction": "...", "input": "", "output": "..."}, with "system"
	// and "history" (pairs of earlier questions and answers) where there are any.
	Alpaca Form = "alpaca"

	// Parquet is a table with the columns of row, for Hugging Face datasets. Tables
	// of other columns are read by what these are.
	Parquet Form = "parquet"

	// ChatGPT is OpenAI's data export, as a ZIP or its conversations.json: trees of
	// messages, of which the branch that was last shown is read.
	ChatGPT Form = "chatgpt"

	// OpenWebUI is the export of Open WebUI's feedback: rated answers with their chats.
	OpenWebUI Form = "open-webui"
)

// Readable lists the forms that NewReader takes.
func Readable() []Form {
	return []Form{Auto, Retort, OpenAI, TRLSFT, TRLPrompt, TRLDPO, TRLKTO, ShareGPT, Alpaca, Parquet, ChatGPT, OpenWebUI}
}

// Writable lists the forms that Write takes.
func Writable() []Form {
	return []Form{Retort, OpenAI, TRLSFT, TRLPrompt, TRLDPO, TRLKTO, ShareGPT, Alpaca, Parquet}
}

// Find returns the form among known that has this name.
func Find(name string, known []Form) (Form, error) {
	var names []string
	for _, f := range known {
		if string(f) == name {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("unknown format %q (known: %s)", name, strings.Join(names, ", "))
}
