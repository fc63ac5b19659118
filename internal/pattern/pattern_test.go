package pattern_test

import (
	"regexp"
	"strings"
	"testing"

	"orgate/internal/pattern"
)

// supported are expressions, each with texts that match and texts that do not.
var supported = []struct {
	expression string
	yes, no    []string
}{
	{"", []string{""}, []string{"a", " "}},
	{"abc", []string{"abc"}, []string{"", "ab", "abcd", "xabc", "ABC"}},
	{"^abc$", []string{"abc"}, []string{"^abc$", "abc "}},
	{"a.c", []string{"abc", "a.c"}, []string{"ac", "a\nc", "aéc"}},
	{`a\.c\x2d`, []string{"a.c-"}, []string{"abc-"}},
	{"[a-c_-]+", []string{"a", "abc-_"}, []string{"", "d", "a,"}},
	{"[-a]", []string{"-", "a"}, []string{"b"}},
	{"[^.]*", []string{"", "abc"}, []string{".", "a.", "é"}},
	{`[]a]`, []string{"]", "a"}, []string{"["}},
	{`[\d\-x]`, []string{"0", "-", "x"}, []string{"d"}},
	{`\d\w\s`, []string{"1a ", "1_\t"}, []string{"aa "}},
	{`\D\W\S`, []string{"a-a"}, []string{"1-a"}},
	{"a|bc|", []string{"a", "bc", ""}, []string{"ab", "b"}},
	{"x(a|b)*y", []string{"xy", "xabbay"}, []string{"xcy", "x"}},
	{"(?:ab)?c", []string{"abc", "c"}, []string{"ac", "ababc"}},
	{"(ab){2,3}", []string{"abab", "ababab"}, []string{"ab", "abababab", "aba"}},
	{"a{3}", []string{"aaa"}, []string{"aa", "aaaa"}},
	{"a{0}b", []string{"b"}, []string{"ab"}},
	{"a{0,2}b", []string{"b", "ab", "aab"}, []string{"aaab"}},
	{"a{2,}", []string{"aa", strings.Repeat("a", 4000)}, []string{"a"}},
	{"(a*b*)*c", []string{"c", "abbac"}, []string{"abd"}},
	{"(a|b)?(a|b)?", []string{"", "a", "ab"}, []string{"aba"}},
	{"((a?){3}){2}", []string{"", "aaaaaa"}, []string{"aaaaaaa"}},
	{"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", []string{"3aa4a235-b6e2-48d5-9195-7fcf05b459b0"},
		[]string{"3aa4a235-b6e2-48d5-9195-7fcf05b459b", "3AA4A235-b6e2-48d5-9195-7fcf05b459b0"}},
	{`ory_at_[\w-]{43}\.[\w-]{43}`, []string{"ory_at_" + strings.Repeat("a", 43) + "." + strings.Repeat("-", 43)},
		[]string{"ory_at_" + strings.Repeat("a", 42) + "." + strings.Repeat("-", 43)}},
}

func TestMatch(t *testing.T) {
	for _, c := range supported {
		p, err := pattern.Parse(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		for want, texts := range map[bool][]string{true: c.yes, false: c.no} {
			for _, text := range texts {
				if p.Match(text) != want {
					t.Errorf("%s matches %q: %v", c.expression, text, !want)
				}
			}
		}
	}
}

func TestNoPattern(t *testing.T) {
	for expression, want := range map[string]string{
		"(a":                       "unbalanced parentheses",
		"a)":                       "unbalanced parentheses",
		"(?i)a":                    "of groups, (x) and (?:x) are supported",
		"(?P<x>a)":                 "of groups, (x) and (?:x) are supported",
		"*a":                       "nothing to repeat",
		"a**":                      "a repetition is repeated: possessive and lazy ones are not supported",
		"a+?":                      "a repetition is repeated: possessive and lazy ones are not supported",
		"a{2}{3}":                  "a repetition is repeated: possessive and lazy ones are not supported",
		"a{2,1}":                   "invalid repetition",
		"a{":                       "invalid repetition",
		"a{,3}":                    "invalid repetition",
		"a{999999999999}":          "invalid repetition",
		"{":                        "a brace must be escaped",
		`\`:                        "ends too early",
		`\pL`:                      "unsupported escape",
		`\xff`:                     "unsupported escape",
		`\x{2e}`:                   "unsupported escape",
		"[a":                       "ends too early",
		"[":                        "ends too early",
		"[]":                       "ends too early",
		"[b-a]":                    "invalid class",
		`[\d-x]`:                   "invalid class",
		"[a-c-e]":                  "invalid class",
		"[[:alpha:]]":              "invalid class",
		"é":                        "characters beyond ASCII are not supported",
		"[é]":                      "characters beyond ASCII are not supported",
		"a^b":                      "^ and $ are supported at the beginning and the end alone",
		"a$b":                      "^ and $ are supported at the beginning and the end alone",
		"^a|b":                     "^ and $ are supported at the beginning and the end alone",
		"a|b$":                     "^ and $ are supported at the beginning and the end alone",
		"(a$)":                     "^ and $ are supported at the beginning and the end alone",
		"a{257}":                   "invalid repetition",
		"a{200}b{57}":              "too many characters once its repetitions are written out",
		"((((a{4}){4}){4}){4}){4}": "too many characters once its repetitions are written out",
		"((((){99}){99}){99}){99}": "too many characters once its repetitions are written out",
		strings.Repeat("a", 1025):  "too long",
		strings.Repeat("(", 40):    "nested too deep",
	} {
		if _, err := pattern.Parse(expression); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", expression, err, want)
		}
	}
}

// TestEscapes compares every escape, alone and in a class, with package regexp, for
// every character.
func TestEscapes(t *testing.T) {
	const hex = "0123456789abcdefABCDEF"
	var escapes []string
	for b := range byte(128) {
		escapes = append(escapes, `\`+string(rune(b)), `\x`+string(rune(b))+"0", `\x4`+string(rune(b)))
	}
	for high := range hex {
		for low := range hex {
			escapes = append(escapes, `\x`+hex[high:high+1]+hex[low:low+1])
		}
	}
	for _, escape := range escapes {
		b := escape[1]
		taken := b >= ' ' && b != 0x7f && !('0' <= b && b <= '9') && !('a' <= b|0x20 && b|0x20 <= 'z') ||
			strings.IndexByte("dDwWsS", b) >= 0 ||
			len(escape) == 4 && strings.IndexByte("01234567", escape[2]) >= 0 && strings.IndexByte(hex, escape[3]) >= 0
		for _, expression := range []string{escape, "[" + escape + "]", "[^" + escape + "]"} {
			p, err := pattern.Parse(expression)
			if (err == nil) != taken {
				t.Errorf("%q: %v", expression, err)
			}
			if err != nil || !taken {
				continue
			}
			re := regexp.MustCompile(`\A(?:` + expression + `)\z`)
			for c := range 128 {
				if text := string(rune(c)); p.Match(text) != re.MatchString(text) {
					t.Errorf("%q matches %q: %v", expression, text, p.Match(text))
				}
			}
		}
	}
}

// TestMatchMakesNoGarbage, and a pattern that may be at all of its positions at
// once goes through a text once all the same.
func TestMatchMakesNoGarbage(t *testing.T) {
	p, err := pattern.Parse("(a?){255}b")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a", 255) + "b"
	if n := testing.AllocsPerRun(10, func() {
		if !p.Match(text) {
			t.Error("no match")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzMatch compares with package regexp. What is taken here RE2 takes, too, and
// means the same.
func FuzzMatch(f *testing.F) {
	for _, c := range supported {
		for _, text := range append(c.yes, c.no...) {
			f.Add(c.expression, text)
		}
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		p, err := pattern.Parse(expression)
		if err != nil {
			return
		}
		re, err := regexp.Compile(`\A(?:` + expression + `)\z`)
		if err != nil {
			t.Fatalf("%q: RE2 does not take it: %v", expression, err)
		}
		for i := range len(text) {
			if text[i] >= 0x80 { // "." and "[^a]" stand for those, too
				if p.Match(text) {
					t.Fatalf("%q matches %q", expression, text)
				}
				return
			}
		}
		if got, want := p.Match(text), re.MatchString(text); got != want {
			t.Fatalf("%q matches %q: %v", expression, text, got)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, c := range map[string][2]string{
		"uuid":  {"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"},
		"worst": {"(a?){255}b?", strings.Repeat("a", 255)},
		"long":  {"[a-z]+", strings.Repeat("a", 4096)},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := pattern.Parse(c[0])
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p.Match(c[1])
			}
		})
	}
}
