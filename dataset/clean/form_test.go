package clean

import "testing"

func TestRefuses(t *testing.T) {
	for _, s := range []string{
		"I'm sorry, but I can't assist with that request.",
		"I’m sorry, but I cannot help you with this.",
		"Sorry, I can't help with that.",
		"I cannot help with that.",
		"I am unable to assist with illegal activities.",
		"Unfortunately, I'm not able to provide that information.",
		"I will not generate such content.",
		"I apologize, but I cannot fulfill this request.",
		"As an AI language model, I do not have personal opinions.",
		"As an AI, I can't browse the internet.",
		"I must respectfully decline.",
		"I have to refuse.",
		"I'm not comfortable writing that.",
		"This goes against my guidelines.",
		"That is not something I can help with.",
		"Es tut mir leid, aber dabei kann ich nicht helfen.",
		"Das kann ich leider nicht beantworten.",
		"Ich kann Ihnen dabei leider nicht helfen.",
		"Als KI habe ich keine Meinung dazu.",
		"Désolé, je ne peux pas vous aider.",
		"Lo siento, pero no puedo ayudarte con eso.",
		"Mi dispiace, non posso aiutarti.",
		"Desculpe, não posso ajudar.",
	} {
		if !refuses(s) {
			t.Errorf("not seen as a refusal: %q", s)
		}
	}
	for _, s := range []string{
		"",
		"checkout",
		"I'm sorry to hear that. We will send somebody at once.",
		"You cannot pay by cheque here.",
		"I can help with that.",
		"We can't offer a late checkout on Sundays.",
		"The model said that it could not comply with the order.",
		"Say: \"No, thank you.\"",
		"I am an engineer; as an AI researcher I work on language models.",
		"Das kann ich gern erledigen.",
		"Vous ne pouvez pas fumer ici.",
	} {
		if refuses(s) {
			t.Errorf("seen as a refusal: %q", s)
		}
	}
}

func TestLanguage(t *testing.T) {
	for want, texts := range map[string][]string{
		"en": {"Where is the pool and what are the hours for guests?", "This is what you have to do with it."},
		"de": {"Wo ist das Schwimmbad und wie sind die Zeiten für die Gäste?"},
		"fr": {"Où est la piscine et quels sont les horaires pour les clients ?"},
		"es": {"¿Dónde está la piscina y cuál es el horario para los huéspedes de la casa?"},
		"it": {"Dove è la piscina e quali sono gli orari per gli ospiti della casa?"},
		"pt": {"Onde está a piscina e quais são os horários para os hóspedes da casa? Não é uma pergunta."},
		"nl": {"Waar is het zwembad en wat zijn de tijden voor een gast van het hotel?"},
		"pl": {"Czy to jest basen i jak się do niego idzie z hotelu?"},
		"sv": {"Det är en fråga om var poolen är och när den är öppen för mig."},
		"ru": {"Где находится бассейн?"},
		"zh": {"游泳池在哪里？"},
		"ja": {"プールはどこですか。"},
		"ko": {"수영장이 어디에 있나요?"},
		"ar": {"أين المسبح؟"},
		"el": {"Πού είναι η πισίνα;"},
		"th": {"สระว่ายน้ำอยู่ที่ไหน"},
		"hi": {"स्विमिंग पूल कहाँ है"},
		"he": {"איפה הבריכה?"},
		"":   {"", "42", "wifi", "x := make([]int, 3)", "Paris"},
	} {
		for _, text := range texts {
			if got := Language(text); got != want {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		}
	}
}
