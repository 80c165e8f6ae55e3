package clean

import (
	"net/netip"
	"regexp"
	"strings"
)

// personal is the table of personal data that can be told by form alone. Names
// and addresses cannot, and are not looked for. A pattern is only tried on texts
// that have its sign, what may says, and so many digits with nothing but spaces and
// "()./-" between them, which is far quicker found out.
var personal = []struct {
	kind    string
	sign    string
	digits  int
	pattern *regexp.Regexp
	valid   func(match string) bool
	may     func(text string) bool // nil: always
}{
	{"email address", "@", 0, regexp.MustCompile(`(?i)\b[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,24}\b`), validEmail, nil},
	{"IBAN", "", 2, regexp.MustCompile(`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b`), validIBAN, beginsIBAN},
	{"card number", "", 13, regexp.MustCompile(`\b[2-6]\d{3}(?:[ -]?\d){9,15}\b`), validCard, nil},
	{"phone number", "+", 8, regexp.MustCompile(`\+\d[\d ()./-]{6,20}\d\b`), validPhone, nil},
	{"phone number", "", 10, regexp.MustCompile(`\(\d{3}\) ?\d{3}[ -]\d{4}\b|\b\d{3}[-.]\d{3}[-.]\d{4}\b`), validPhone, nil},
	{"phone number", "0", 8, regexp.MustCompile(`(?:^|[^\w.,+/-])(?:\(0\d{2,5}\)|0\d{2,5})[ /-] ?\d{3,8}(?:[ -]?\d{2,5}){0,3}\b`), validPhone, nil},
	{"IP address", ".", 4, regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`), validIP, hasDotted},
	{"IP address", ":", 0, regexp.MustCompile(`(?i)\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}\b`), validIP, hasColons},
}

// findPersonal names the kind of the first personal data in text, "" if none.
func findPersonal(text string) string {
	digits := digitsTogether(text)
	for _, p := range personal {
		if digits < p.digits || !strings.Contains(text, p.sign) || p.may != nil && !p.may(text) {
			continue
		}
		for _, match := range p.pattern.FindAllString(text, -1) {
			if p.valid(match) {
				return p.kind
			}
		}
	}
	return ""
}

// digitsTogether is the largest number of digits that stand together.
func digitsTogether(text string) (most int) {
	n := 0
	for i := range len(text) {
		switch c := text[i]; {
		case isDigit(c):
			n++
			most = max(most, n)
		case c > '/' || !betweenDigits[c]:
			n = 0
		}
	}
	return most
}

// betweenDigits are the characters that part the digits of one number.
var betweenDigits = ['/' + 1]bool{' ': true, '(': true, ')': true, '.': true, '/': true, '-': true}

// validEmail leaves out the domains that are reserved for examples.
func validEmail(s string) bool {
	_, domain, _ := strings.Cut(strings.ToLower(s), "@")
	for _, d := range []string{"example.com", "example.org", "example.net", "example", "test", "invalid", "localhost"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return false
		}
	}
	return true
}

// beginsIBAN reports whether text has two capital letters with two digits behind them.
func beginsIBAN(text string) bool {
	letters, digits := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'A' && c <= 'Z':
			letters, digits = letters+1, 0
		case isDigit(c) && letters >= 2:
			if digits++; digits == 2 {
				return true
			}
		default:
			letters, digits = 0, 0
		}
	}
	return false
}

// hasDotted reports whether text has three dots between digits.
func hasDotted(text string) bool {
	dots := 0
	for i := 1; i+1 < len(text) && dots < 3; i++ {
		if text[i] == '.' && isDigit(text[i-1]) && isDigit(text[i+1]) {
			dots++
		}
	}
	return dots == 3
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// hasColons reports whether text has as many colons as an address of IPv6.
func hasColons(text string) bool { return strings.Count(text, ":") >= 3 }

// validIBAN checks the length and the remainder by 97 (ISO 13616).
func validIBAN(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, r := range s[4:] + s[:4] {
		switch {
		case r >= '0' && r <= '9':
			rest = (rest*10 + int(r-'0')) % 97
		case r >= 'A' && r <= 'Z':
			rest = (rest*100 + int(r-'A') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}

// validCard checks the length, the Luhn digit, and that not all digits are one.
func validCard(s string) bool {
	d := digits(s)
	if len(d) < 13 || len(d) > 19 || strings.Count(d, d[:1]) == len(d) {
		return false
	}
	sum := 0
	for i := range len(d) {
		n := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// validPhone wants as many digits as a number has with its area (E.164), and
// leaves out the American numbers that are reserved for fiction.
func validPhone(s string) bool {
	d := digits(s)
	if len(d) < 8 || len(d) > 15 || strings.Count(d, d[:1]) == len(d) {
		return false
	}
	return !strings.Contains(d[max(0, len(d)-7):], "55501")
}

// validIP leaves out addresses that lead to nobody: private, of this machine, or
// reserved for documentation. "1.2.3.4" and the like are left in.
func validIP(s string) bool {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range documentation {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

var documentation = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
