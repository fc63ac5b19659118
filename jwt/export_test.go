package jwt

// ParseJWS is [Parse] for a JWS whose payload is not a claims set: the vectors of
// others sign any text.
func ParseJWS(compact string, maxBytes int) (*Token, error) {
	return parse(compact, maxBytes, func(*Token, string) error { return nil })
}

// Signed is a token with a signature over any input, which need not be that of a
// JWS.
func Signed(algorithm, input string, signature []byte) *Token {
	return &Token{Algorithm: algorithm, signingInput: input, signature: signature}
}
