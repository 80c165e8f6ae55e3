package clean

import (
	"slices"
	"strings"
	"testing"
)

func TestFindPersonal(t *testing.T) {
	cases := map[string]struct {
		text, want string
	}{
		"email":               {"mail me: Anna.Schmidt+x@mail.posteo.de.", "email address"},
		"reserved email":      {"mail me: anna@example.com or a@b.test", ""},
		"no email":            {"@handle, a@b, x @ y.de", ""},
		"German IBAN":         {"IBAN DE89 3704 0044 0532 0130 00 please", "IBAN"},
		"British IBAN":        {"GB82WEST12345698765432", "IBAN"},
		"wrong IBAN":          {"GB82WEST12345698765433", ""},
		"card":                {"my card 4111 1111 1111 1111 is lost", "card number"},
		"card with dashes":    {"5500-0000-0000-0004", "card number"},
		"American Express":    {"378282246310005", "card number"},
		"card, wrong digit":   {"4111 1111 1111 1112", ""},
		"one digit only":      {"4444444444444444", ""},
		"international phone": {"call +49 30 901820", "phone number"},
		"with brackets":       {"+1 (212) 736-5000", "phone number"},
		"American phone":      {"(212) 736-5000", "phone number"},
		"for fiction":         {"(212) 555-0123", ""},
		"German phone":        {"Tel. 030 9018 2111", "phone number"},
		"mobile":              {"ring 0171/1234567", "phone number"},
		"sum":                 {"12 + 30 = 42, and 100 200 300", ""},
		"date":                {"on 2024-01-15 10:20:30, or 15.01.2024", ""},
		"room":                {"room 031, from 0900 to 1700", ""},
		"public IP":           {"from 8.8.8.8 today", "IP address"},
		"private IP":          {"at 192.168.1.10 or 10.0.0.1 or 127.0.0.1", ""},
		"documentation IP":    {"192.0.2.7, 2001:db8::1", ""},
		"IPv6":                {"2a00:1450:4001:82a::200e", "IP address"},
		"time":                {"12:30:45", ""},
		"no IP":               {"300.1.1.1", ""},
		"nothing":             {"", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := findPersonal(c.text); got != c.want {
				t.Errorf("%q: got %q, want %q", c.text, got, c.want)
			}
		})
	}
}

// FuzzFindPersonal: no text makes it fail, and what it finds is found again in a
// longer text.
func FuzzFindPersonal(f *testing.F) {
	for _, s := range []string{"a@posteo.de", "DE89 3704 0044 0532 0130 00", "4111 1111 1111 1111", "+49 30 901820", "8.8.8.8", "\xff+1", "::::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		found := findPersonal(s)
		if found != "" && findPersonal("see: \n"+s+" \nbye") == "" {
			t.Errorf("%s in %q is lost among other lines", found, s)
		}
		if validIBAN(s) && len(s) < 15 {
			t.Errorf("%q is too short for an IBAN", s)
		}
	})
}

// FuzzFindPersonal_shortcut: the patterns that are not tried would have found nothing.
func FuzzFindPersonal_shortcut(f *testing.F) {
	for _, s := range []string{"anna@posteo.de", "GB82WEST12345698765432", "5500-0000-0000-0004", "+1 (212) 736-5000", "212-736-5000",
		"0171/1234567", "8.8.8.8", "2a00:1450::200e", "MT84MALT011000012345MTLCAST001S"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := ""
		for _, p := range personal {
			if want == "" && slices.ContainsFunc(p.pattern.FindAllString(text, -1), p.valid) {
				want = p.kind
			}
		}
		if got := findPersonal(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	})
}

// FuzzWords: words are stable, and hold nothing but letters and digits.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Où est l'Hôtel?", "我想要", "a\xffb", "ΑΣ", "İ", "x́"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := strings.Join(words(s), " ")
		if twice := strings.Join(words(once), " "); twice != once {
			t.Errorf("%q gives %q, and that %q", s, once, twice)
		}
		refuses(s)
		Language(s)
	})
}

// FuzzPersonal_passesNothingOver: a pattern that matches is tried.
func FuzzPersonal_passesNothingOver(f *testing.F) {
	for _, text := range []string{"DE89 3704 0044 0532 0130 00", "AGB82WEST12345698765432", "X1YZ12", "AB1C23", "8.8.8.8", "::1:2", "a:b::c", "1.2.3.4.5:6"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range personal {
			if p.may != nil && p.pattern.MatchString(text) && !p.may(text) {
				t.Errorf("%s: %q is passed over", p.kind, text)
			}
		}
	})
}
