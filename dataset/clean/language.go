package clean

import (
	"maps"
	"slices"
	"strings"
	"unicode"
)

// scripts tell a language that is alone, or nearly so, in using one.
var scripts = []struct {
	language string
	table    *unicode.RangeTable
}{
	{"ja", unicode.Hiragana}, {"ja", unicode.Katakana}, {"ko", unicode.Hangul}, {"zh", unicode.Han},
	{"ru", unicode.Cyrillic}, {"ar", unicode.Arabic}, {"he", unicode.Hebrew}, {"el", unicode.Greek},
	{"th", unicode.Thai}, {"hi", unicode.Devanagari},
}

// stopWords are frequent words of languages in Latin letters.
var stopWords = map[string][]string{
	"en": strings.Fields("the and of to is in that it you for are with this was be have not as what my how can on at from or your we they will would please a an i"),
	"de": strings.Fields("der die das und ist nicht ich ein eine zu mit den von für auf im sie es dem wie wir auch haben wird oder bei einen was kann mein bitte"),
	"fr": strings.Fields("le la les et est des une que pas pour dans qui sur avec vous ce je il au du sont plus nous mon votre cette être mais ou"),
	"es": strings.Fields("el la los las y es que en un una por con para del se no como su al más lo esta pero mi está son muy qué"),
	"it": strings.Fields("il la di che è non per un una sono con del della mi le gli come più questo nel alla ma anche dei"),
	"pt": strings.Fields("o a os as e é que não um uma para com do da em se por mais como seu no na dos das mas está são você"),
	"nl": strings.Fields("de het een en van is niet ik dat op te zijn met voor er aan die maar wat ook bij naar kan mijn hebben"),
	"pl": strings.Fields("i w na nie się z do to że jest jak o po co ale czy dla tym mój oraz przez"),
	"sv": strings.Fields("och att det som en på är av för inte jag med ett den till har om men var min kan"),
}

// stopWordHits is how many stop words a text must have before its language is
// called known, and lead how much more often than any other language's.
const (
	stopWordHits = 3
	lead         = 1.5
)

// Languages are the codes that Language knows, in order.
func Languages() []string {
	out := slices.Collect(maps.Keys(stopWords))
	for _, s := range scripts {
		out = append(out, s.language)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Language tells the language of text by its script or its frequent words, as an
// ISO 639-1 code; "" where that does not tell. "ru" stands for all languages in
// Cyrillic letters, "ar", "hi" likewise.
func Language(text string) string {
	letters, latin := 0, 0
	count := map[string]int{}
	for _, r := range text {
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		if unicode.Is(unicode.Latin, r) {
			latin++
			continue
		}
		for _, s := range scripts {
			if unicode.Is(s.table, r) {
				count[s.language]++
				break
			}
		}
	}
	if count["ja"] > 0 { // Japanese is written with Chinese letters too
		count["ja"] += count["zh"]
		delete(count, "zh")
	}
	for language, n := range count {
		if 2*n > letters {
			return language
		}
	}
	if 2*latin <= letters {
		return ""
	}
	return latinLanguage(text)
}

func latinLanguage(text string) string {
	hits := map[string]int{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		for language, list := range stopWords {
			if slices.Contains(list, w) {
				hits[language]++
			}
		}
	}
	best, second := "", ""
	for language, n := range hits {
		switch {
		case best == "" || n > hits[best]:
			best, second = language, best
		case second == "" || n > hits[second]:
			second = language
		}
	}
	if hits[best] < stopWordHits || float64(hits[best]) < lead*float64(hits[second]) {
		return ""
	}
	return best
}
