package jwks_test

import (
	"fmt"
	"time"

	"orgate/jwks"
	"orgate/jwt"
)

func ExampleParse() {
	set, err := jwks.Parse(`{"keys": [
		{"kty": "oct", "kid": "2024", "k": "…"},
		{"kty": "RSA", "kid": "2011-04-29", "alg": "RS256", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
	]}`)
	if err != nil {
		panic(err)
	}
	for _, err := range set.Unusable {
		fmt.Println("not used:", err)
	}
	token := &jwt.Token{Algorithm: "RS256", KeyID: "2011-04-29", HasKeyID: true}
	for _, key := range set.Select(token) {
		fmt.Println("candidate:", key.ID, key.Thumbprint)
	}
	// Output:
	// not used: keys[0] (kid "2024"): kty is neither RSA, EC nor OKP
	// candidate: 2011-04-29 NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
}

// A source through an outage at the start.
func ExampleSource() {
	now := time.Date(2026, 1, 1, 3, 0, 0, 0, time.UTC)
	source := jwks.NewSource(jwks.Policy{RefreshInterval: 10 * time.Minute, Timeout: 5 * time.Second}, nil)

	responses := []jwks.Response{{Status: 503}, {Status: 200, Body: jwkSet(jwk(1))}}
	for len(responses) > 0 {
		if source.Due(now) {
			fetch := source.Begin(now)
			outcome := source.Finish(now, fetch, responses[0])
			responses = responses[1:]
			_, state := source.Keys(now)
			fmt.Printf("%s: %s, next fetch in %v\n", outcome.Result, state, source.Next(now).Sub(now))
		}
		now = now.Add(time.Second) // the next tick
	}
	// Output:
	// status: empty, next fetch in 500ms
	// ok: fresh, next fetch in 8m0s
}
