package jwt

import (
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// TimeRules says when a token is accepted.
type TimeRules struct {
	// Skew is how far the issuer's clock may be off, either way.
	Skew time.Duration
	// MaxAge is how long after its "iat" a token is accepted, which it then
	// must have; 0 is for as long as the token says.
	MaxAge time.Duration
	// RequireExpiration refuses tokens that have no "exp".
	RequireExpiration bool
}

// CheckTime checks the token's "exp", "nbf" and "iat" (RFC 7519 §4.1.4 to
// §4.1.6). With the skew on the token's side each time, it returns
//
//   - [ErrExpired] from "exp" on;
//   - [ErrNotYetValid] before "nbf", and before "iat";
//   - [ErrTooOld] from "iat" and the maximum age on;
//   - [ErrClaim] if a claim that the rules ask for is missing.
//
// The dates are exact to the nanosecond. What a date says beyond that is cut
// off such that the token is accepted for the shorter time.
func (t *Token) CheckTime(now time.Time, rules TimeRules) error {
	if t.expires.present {
		if !now.Before(t.expires.floor().Add(rules.Skew)) {
			return ErrExpired
		}
	} else if rules.RequireExpiration {
		return errNoExpiration
	}
	if t.notBefore.present && now.Before(t.notBefore.ceil().Add(-rules.Skew)) {
		return ErrNotYetValid
	}
	if t.issuedAt.present && now.Before(t.issuedAt.ceil().Add(-rules.Skew)) {
		return errFromTheFuture
	}
	if rules.MaxAge != 0 {
		if !t.issuedAt.present {
			return errNoIssuedAt
		}
		if !now.Before(t.issuedAt.floor().Add(rules.MaxAge).Add(rules.Skew)) {
			return ErrTooOld
		}
	}
	return nil
}

var (
	errNoExpiration  = &refusal{reason: ErrClaim, what: "exp missing"}
	errNoIssuedAt    = &refusal{reason: ErrClaim, what: "iat missing"}
	errFromTheFuture = &refusal{reason: ErrNotYetValid, what: "iat is in the future"}
)

// Expiry returns the token's "exp", and whether it has one.
func (t *Token) Expiry() (time.Time, bool) {
	if !t.expires.present {
		return time.Time{}, false
	}
	return t.expires.floor(), true
}

// A numericDate is a NumericDate (RFC 7519 §2): seconds since the epoch, with
// any fraction.
type numericDate struct {
	seconds     int64
	nanoseconds int32
	present     bool
	more        bool // than the nanoseconds
}

// maxSeconds is the last second of the year 9999.
const (
	maxSeconds       = 253402300799
	maxSecondsDigits = 12
)

// floor returns the date or the nanosecond before it.
func (d numericDate) floor() time.Time { return time.Unix(d.seconds, int64(d.nanoseconds)) }

// ceil returns the date or the nanosecond after it.
func (d numericDate) ceil() time.Time {
	if d.more {
		return time.Unix(d.seconds, int64(d.nanoseconds)+1)
	}
	return d.floor()
}

// readDate reads a number from 0 to maxSeconds. It goes by the digits, since a
// float64 could round either way.
func readDate(value *gjson.Result) (numericDate, bool) {
	if value.Type != gjson.Number {
		return numericDate{}, false
	}
	digits, point, negative := decimal(value.Raw)
	if digits == "" {
		return numericDate{present: true}, true
	}
	if negative || point > maxSecondsDigits {
		return numericDate{}, false
	}
	// at returns the digit of 10^(point-1-i).
	at := func(i int64) int64 {
		if i < 0 || i >= int64(len(digits)) {
			return 0
		}
		return int64(digits[i] - '0')
	}
	d := numericDate{present: true}
	for i := int64(0); i < point; i++ {
		d.seconds = d.seconds*10 + at(i)
	}
	const fraction = 9
	for i := point; i < point+fraction; i++ {
		d.nanoseconds = d.nanoseconds*10 + int32(at(i))
	}
	d.more = int64(len(digits)) > point+fraction
	if d.seconds > maxSeconds || d.seconds == maxSeconds && (d.nanoseconds > 0 || d.more) {
		return numericDate{}, false
	}
	return d, true
}

// decimal takes a JSON number apart: it is 0.digits × 10^point. The first and
// the last digit are not 0; there are none if the number is 0.
func decimal(raw string) (digits string, point int64, negative bool) {
	raw, negative = strings.CutPrefix(raw, "-")
	if i := strings.IndexAny(raw, "eE"); i >= 0 {
		// Out of range, it is the closest int64: cut down, so that the
		// length of the number cannot overflow it.
		const most = 1 << 40
		point, _ = strconv.ParseInt(raw[i+1:], 10, 64)
		point = min(max(point, -most), most)
		raw = raw[:i]
	}
	whole, fraction, _ := strings.Cut(raw, ".")
	digits = whole + fraction
	point += int64(len(whole))
	significant := strings.TrimLeft(digits, "0")
	point -= int64(len(digits) - len(significant))
	return strings.TrimRight(significant, "0"), point, negative
}
