package main

import (
	"fmt"
	"strings"

	"retort/dataset"
	"retort/models"
)

// forbids says why the terms of ex's teachers keep it out of training and export;
// "" if they do not. The configuration of today decides, not that of the day when
// the example was kept, so that allow_training can be given and taken back.
//
// A teacher that runs on this machine forbids nothing: such models are restricted
// because their licence puts conditions on what is made from them (the Gemma terms
// must be passed on with a model that learnt from Gemma's answers), which is the
// owner's to keep, and no ban.
func (r *retort) forbids(ex dataset.Example) string {
	restricted := ex.Source.Terms == models.TermsRestricted
	if restricted && len(ex.Source.Models) == 0 {
		return "its source is restricted and names no teacher that you could allow"
	}
	for _, id := range ex.Source.Models {
		terms, remote := r.remoteTerms(id)
		provider, _, _ := strings.Cut(id, "/")
		switch {
		case remote && terms != models.TermsOpen:
			return fmt.Sprintf("the terms of %s restrict it until config.yaml says `providers: {%s: {allow_training: true}}`", id, provider)
		case !remote && restricted && !runsHere(id):
			return fmt.Sprintf("its teacher %s is restricted and not known any more", id)
		}
	}
	return ""
}

// runsHere reports whether a model that no provider of the table offers runs on
// this machine.
func runsHere(id string) bool {
	if name, ok := strings.CutPrefix(id, ollamaPrefix); ok {
		return !strings.HasSuffix(name, "-cloud") && !strings.HasSuffix(name, ":cloud")
	}
	return strings.HasPrefix(id, enginePrefix) || strings.HasPrefix(id, storePrefix) || !strings.Contains(id, "/")
}
