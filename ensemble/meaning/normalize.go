package meaning

import (
	"strconv"
	"strings"
	"unicode"
)

// Normalize returns the form in which two answers are compared: lower case,
// white space folded, punctuation and quotes around the answer dropped, and a
// plain number in its shortest form ("$1,000.50" is "1000.5").
func Normalize(answer string) string {
	s := strings.Join(strings.Fields(strings.ToLower(answer)), " ")
	s = strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(".,;:!?\"'`*_()[]{}“”‘’«»", r)
	})
	number := strings.ReplaceAll(strings.TrimLeft(s, "$€£ "), ",", "")
	if f, err := strconv.ParseFloat(number, 64); err == nil && looksNumeric(number) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return s
}

// looksNumeric keeps ParseFloat's "inf", "nan" and hexadecimal forms as words.
func looksNumeric(s string) bool {
	return strings.Trim(s, "+-0123456789.,e") == "" && strings.ContainsAny(s, "0123456789")
}
