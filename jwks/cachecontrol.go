package jwks

import (
	"strconv"
	"strings"
	"time"
)

// maxAge is how long a Cache-Control field (RFC 9111 §5.2.2) lets a response be
// kept, if it says so: the smallest max-age, and 0 with no-store, no-cache or a
// max-age that is no number (§4.2.1 asks to take such a response for stale).
func maxAge(cacheControl string) (age time.Duration, ok bool) {
	for directive := range directives(cacheControl) {
		name, value, _ := strings.Cut(directive, "=")
		var this time.Duration
		switch strings.ToLower(strings.Trim(name, " \t")) {
		default:
			continue
		case "no-store", "no-cache":
		case "max-age":
			this = deltaSeconds(strings.Trim(value, " \t"))
		}
		if !ok || this < age {
			age, ok = this, true
		}
	}
	return age, ok
}

// directives splits the field at the commas outside quoted strings (RFC 9110
// §5.6.4).
func directives(field string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		begin, quoted := 0, false
		for i := 0; i < len(field); i++ {
			switch c := field[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == ',' && !quoted:
				if !yield(field[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(field[begin:])
	}
}

// deltaSeconds reads RFC 9111 §1.2.2, which may stand in quotes (§5.2). What is
// no such number is 0; what is greater than 2^31 is that.
func deltaSeconds(value string) time.Duration {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return 0
		}
	}
	const most = 1 << 31
	seconds, err := strconv.ParseUint(value, 10, 64)
	if value != "" && (err != nil || seconds > most) {
		seconds = most // All digits, so the number is too large.
	}
	return time.Duration(seconds) * time.Second
}
