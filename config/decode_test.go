package config

import (
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a field", Error{Path: "issuers", Message: "is required", Line: 1, Column: 1}, "issuers: is required"},
		{"the document", Error{Message: "invalid JSON", Line: 2, Column: 7}, "line 2, column 7: invalid JSON"},
		{"nowhere", Error{Message: "invalid JSON"}, "invalid JSON"},
		{"several", ErrorList{{Path: "a", Message: "b"}, {Path: "c", Message: "d"}}, "a: b\nc: d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestKeysOfClaimNames(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b ClaimName
		same bool
	}{
		{"a name, and a path of one", ClaimName{Name: "sub"}, ClaimName{Path: []string{"sub"}}, true},
		{"names with dots", ClaimName{Name: "a.b"}, ClaimName{Name: "a.b"}, true},
		{"paths", ClaimName{Path: []string{"a", "b"}}, ClaimName{Path: []string{"a", "b"}}, true},
		{"a name with a dot, and a path of one", ClaimName{Name: "a.b"}, ClaimName{Path: []string{"a.b"}}, false},
		{"a name with a dot, and a path", ClaimName{Name: "a.b"}, ClaimName{Path: []string{"a", "b"}}, false},
		{"paths with dots elsewhere", ClaimName{Path: []string{"a.b", "c"}}, ClaimName{Path: []string{"a", "b.c"}},
			false},
		{"other names", ClaimName{Name: "a"}, ClaimName{Name: "b"}, false},
	} {
		if same := tt.a.Key() == tt.b.Key(); same != tt.same {
			t.Errorf("%s: %q and %q", tt.name, tt.a.Key(), tt.b.Key())
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       int
	}{
		{"the same", "rules", "rules", 0},
		{"two letters swapped", "ruels", "rules", 1},
		{"one more", "rule", "rules", 1},
		{"one less", "ruless", "rules", 1},
		{"another", "rumes", "rules", 1},
		{"from nothing", "", "abc", 3},
		{"unrelated", "abc", "xyz", 3},
		{"too long to compare", strings.Repeat("a", 65), "a", 64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := distance(tt.a, tt.b); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
