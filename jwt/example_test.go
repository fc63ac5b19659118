package jwt_test

import (
	"errors"
	"fmt"
	"time"

	"orgate/jwt"
)

// The token of RFC 7515, appendix A.2, through every check, cheapest first.
func Example() {
	check := func(compact string, now time.Time) error {
		token, err := jwt.Parse(compact, 8192)
		if err != nil {
			return err
		}
		if token.Claims.Issuer() != "joe" {
			return errors.New("unknown issuer")
		}
		if err := token.CheckAlgorithm([]string{"RS256"}); err != nil {
			return err
		}
		if err := token.CheckTime(now, jwt.TimeRules{Skew: time.Minute, RequireExpiration: true}); err != nil {
			return err
		}
		return token.Verify(rfc7515Key())
	}
	expiry := time.Unix(1300819380, 0)
	fmt.Println(check(rfc7515Token, expiry))
	fmt.Println(check(rfc7515Token, expiry.Add(time.Minute)))
	fmt.Println(check(rfc7515Token+"\n", expiry))
	// Output:
	// <nil>
	// token expired
	// malformed token: not base64url without padding
}

// Errors are told apart with errors.Is, whatever else they say.
func ExampleParse() {
	// {"alg":"RS256","alg":"none"}
	_, err := jwt.Parse("eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AAAA", 8192)
	fmt.Println(err)
	fmt.Println(errors.Is(err, jwt.ErrMalformed))
	// Output:
	// malformed token: header: duplicate member at byte 15
	// true
}
