package clean

import (
	"regexp"
	"strings"
)

// refusalStart is how many letters of a response are looked at: a refusal says so
// at once, and an answer may well quote one further on.
const refusalStart = 240

// refusals are the ways in which models decline. They want the speaker ("I", "as
// an AI") and the thing declined together, so that "Sorry to hear that" and "You
// cannot pay by cheque" are answers.
var refusals = []*regexp.Regexp{
	regexp.MustCompile(`\bi(?: am|'m)?(?: (?:really|very|so))?(?: sorry,? but i)?(?: (?:simply|really|unfortunately))? (?:can ?not|can't|could not|couldn't|won't|will not|am unable to|unable to|am not able to|not able to|am not allowed to|not allowed to|am not permitted to|not permitted to)(?: (?:in good conscience|ethically|directly))? (?:help|assist|comply|fulfil|fulfill|engage|participate|support (?:that|this)|(?:answer|do|discuss|say|share|provide|give|create|write|generate|produce|offer|complete|continue)(?: you)?(?: with)? (?:that|this|such|these|those|any (?:information|advice|instructions|guidance)|instructions|content|medical|legal|personal))\b`),
	regexp.MustCompile(`\bas an? (?:ai\b|artificial intelligence|(?:large )?language model|virtual assistant|chat ?bot)[^.!?]{0,80}(?:can ?not|can't|do not|don't|unable|not able|not (?:have|allowed|capable))`),
	regexp.MustCompile(`\bi(?: must| have to| need to|'ll have to| will have to)(?: respectfully| politely)? (?:decline|refuse)\b`),
	regexp.MustCompile(`\bi(?: am|'m) not comfortable (?:with|doing|help|writ|provid|discuss|answer|generat|creat)`),
	regexp.MustCompile(`\b(?:against|violates?|not allowed by) (?:my|our|the|openai'?s?|anthropic'?s?) (?:[a-z]+ )?(?:programming|guidelines|content policy|usage polic(?:y|ies)|policies|principles)\b`),
	regexp.MustCompile(`\b(?:that|this)(?: is|'s) not something (?:that )?i (?:can|am able to|'m able to|will)\b`),
	regexp.MustCompile(`\b(?:dabei|damit|hierbei|hiermit|das|diese[rsn]? [a-zäöüß]+) (?:kann|darf|werde) ich (?:(?:ihnen|dir|euch|leider) )*nicht (?:\S+ ){0,3}(?:helfen|weiterhelfen|unterstützen|beantworten|dienen)`),
	regexp.MustCompile(`\bich (?:kann|darf|werde) (?:(?:ihnen|dir|euch|leider|dabei|damit|hierbei) )*nicht (?:(?:dabei|damit|hierbei) )?(?:\S+ )?(?:helfen|weiterhelfen|unterstützen|beantworten)`),
	regexp.MustCompile(`\bals (?:eine? )?(?:ki\b|künstliche intelligenz|ki-|sprachmodell)[^.!?]{0,80}(?:nicht|kein)`),
	regexp.MustCompile(`\bje ne (?:peux|suis pas en mesure)(?: malheureusement)? (?:pas |de )?(?:vous |t'|t’)?(?:aider|répondre|assister|fournir|faire (?:cela|ça))`),
	regexp.MustCompile(`\ben tant qu'(?:ia|intelligence artificielle|assistant|modèle)[^.!?]{0,80}(?:ne |pas )`),
	regexp.MustCompile(`\bno (?:puedo|me es posible) (?:ayudar(?:te|le|les|lo|la)?|responder|cumplir|asistir(?:te|le)?|proporcionar(?:te|le)? (?:esa|eso|esta))`),
	regexp.MustCompile(`\bnon posso (?:aiutar(?:ti|la|vi)|rispondere|assister(?:ti|la))`),
	regexp.MustCompile(`\bnão posso (?:ajudar|ajudá-l[oa]|te ajudar|responder|auxiliar)`),
}

var straight = strings.NewReplacer("’", "'", "‘", "'", "\n", " ")

// refuses reports whether a response declines to answer.
func refuses(response string) bool {
	r := []rune(strings.TrimSpace(response))
	start := straight.Replace(strings.ToLower(string(r[:min(len(r), refusalStart)])))
	start = strings.Join(strings.Fields(start), " ")
	for _, p := range refusals {
		if p.MatchString(start) {
			return true
		}
	}
	return false
}
