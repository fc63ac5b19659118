package jwks

import (
	"testing"
	"time"
)

func TestMaxAge(t *testing.T) {
	tests := []struct {
		field string
		age   time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"public", 0, false},
		{"max-age=300", 300 * time.Second, true},
		{"public, max-age=300, must-revalidate", 300 * time.Second, true},
		{"MAX-AGE=300", 300 * time.Second, true},
		{" max-age = 300 ", 300 * time.Second, true},
		{`max-age="300"`, 300 * time.Second, true},
		{"max-age=300, max-age=60", 60 * time.Second, true},
		{"max-age=60, max-age=300", 60 * time.Second, true},
		{"max-age=300, no-cache", 0, true},
		{"no-store", 0, true},
		{"No-Store, max-age=300", 0, true},
		{`no-cache="set-cookie, x"`, 0, true},
		{`private="a, no-store", max-age=300`, 300 * time.Second, true},
		{`x="a\", no-store", max-age=300`, 300 * time.Second, true},
		{`x="unclosed, no-store`, 0, false},
		{"max-age", 0, true},
		{"max-age=", 0, true},
		{"max-age=-1", 0, true},
		{"max-age=+1", 0, true},
		{"max-age=1.5", 0, true},
		{"max-age=soon", 0, true},
		{`max-age="`, 0, true},
		{"max-age=99999999999999999999999", (1 << 31) * time.Second, true},
		{"max-age=2147483649", (1 << 31) * time.Second, true},
		{"s-maxage=60", 0, false},
		{"x-max-age=60", 0, false},
		{",,", 0, false},
	}
	for _, test := range tests {
		if age, ok := maxAge(test.field); age != test.age || ok != test.ok {
			t.Errorf("%q: %v, %v, want %v, %v", test.field, age, ok, test.age, test.ok)
		}
	}
}
