package meaning

import (
	"regexp"
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
	if number := strings.TrimLeft(s, "$€£ "); looksNumeric(number) && (!strings.Contains(number, ",") || thousands.MatchString(number)) {
		return shortest(strings.ReplaceAll(number, ",", ""), s)
	}
	return s
}

// thousands are parted by commas, as lists ("1,2,3") and decimals ("3,14") are not.
var thousands = regexp.MustCompile(`^[+-]?\d{1,3}(,\d{2,3})*,\d{3}(\.\d*)?$`)

// shortest returns number in its shortest form, s if it is none. A whole number of
// which that would lose digits keeps them all.
func shortest(number, s string) string {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return s
	}
	digits := strings.TrimLeft(strings.TrimPrefix(number, "+"), "0")
	if len(digits) > 15 && strings.Trim(digits, "-0123456789") == "" && strconv.FormatFloat(f, 'f', -1, 64) != digits {
		return digits
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// looksNumeric keeps ParseFloat's "inf", "nan" and hexadecimal forms as words.
func looksNumeric(s string) bool {
	return strings.Trim(s, "+-0123456789.,e") == "" && strings.ContainsAny(s, "0123456789")
}
