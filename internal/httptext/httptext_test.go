package httptext

import "testing"

func TestTokens(t *testing.T) {
	for s, want := range map[string]bool{
		"GET": true, "x-wso2_roles.": true, "!#$%&'*+-.^_`|~09azAZ": true,
		"": false, "a b": false, "a,b": false, "a/b": false, "a:b": false, "\"a\"": false, "é": false, "a\x00": false,
		"a\x7f": false, "@": false, "[": false,
	} {
		if got := IsToken(s); got != want {
			t.Errorf("IsToken(%q) = %v", s, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"x-http-method", "X_HTTP_Method", true},
		{"X.Http~Method", "x-http-method", true},
		{"", "", true},
		{"x-http-metho", "x-http-method", false},
		{"x-http-method-override", "x-http-method", false},
		{"y-http-method", "x-http-method", false},
		{"x-a1", "x-a2", false},
		{"x@", "x`", true},
		{"xK", "x\u212a", false}, // the Kelvin sign
	} {
		if got := SameName(tt.a, tt.b); got != tt.same {
			t.Errorf("SameName(%q, %q) = %v", tt.a, tt.b, got)
		}
		if got := Fold(tt.a) == Fold(tt.b); got != tt.same {
			t.Errorf("Fold(%q) and Fold(%q) are equal: %v", tt.a, tt.b, got)
		}
	}
	same := false
	if n := testing.AllocsPerRun(100, func() { same = SameName("x_wso2_username", "X-WSO2-Username") }); n != 0 ||
		!same {
		t.Errorf("%v allocations", n)
	}
}

func TestPrefixes(t *testing.T) {
	for _, tt := range []struct {
		s, prefix, rest string
		ok              bool
	}{
		{"Bearer x", "bearer ", "x", true},
		{"BEARER x", "Bearer ", "x", true},
		{"Bearer", "Bearer ", "Bearer", false},
		{"JWT AZ", "jwt az", "", true},
		{"Bearer_x", "Bearer ", "Bearer_x", false},
		{"x", "", "x", true},
		{"\u212aey x", "key ", "\u212aey x", false}, // the Kelvin sign
		{"@a", "`a", "@a", false},
	} {
		if rest, ok := CutPrefixFold(tt.s, tt.prefix); rest != tt.rest || ok != tt.ok || HasPrefixFold(tt.s,
			tt.prefix) != tt.ok {
			t.Errorf("CutPrefixFold(%q, %q) = %q, %v", tt.s, tt.prefix, rest, ok)
		}
	}
}

func TestHexPairs(t *testing.T) {
	for _, tt := range []struct {
		s    string
		want byte
		ok   bool
	}{
		{"00", 0, true}, {"fF", 0xff, true}, {"2Fx", '/', true}, {"aA", 0xaa, true}, {"9", 0, false}, {"", 0, false},
		{"0g", 0, false}, {"g0", 0, false}, {"0`", 0, false}, {" 0", 0, false},
	} {
		if got, ok := HexPair(tt.s); ok != tt.ok || ok && got != tt.want {
			t.Errorf("HexPair(%q) = %x, %v", tt.s, got, ok)
		}
	}
}
