// Package jwks holds the keys that verify an issuer's tokens, and where they
// come from.
//
// # Keys
//
// A [Set] is the keys of one issuer. [Parse] reads it from a JWK Set (RFC
// 7517), [ParsePEM] from certificates and public keys in PEM (RFC 7468).
// A JWK Set is somebody else's document: a key in it that cannot be used is
// left out, with the reason, and never spoils the others. PEM is the
// operator's own configuration: anything in it that cannot be used is an
// error.
//
// [Set.Select] says which keys a token may be verified with. Only the set's
// own keys are ever candidates, so that a set per issuer keeps the keys of one
// issuer from verifying another's token, whatever their kid.
//
// # Sources
//
// A [Source] is the life of the keys behind one location: when to fetch, what
// an answer means, how long keys are good, when to try again. It is a state
// machine that fetches nothing itself. Whoever drives it asks [Source.Due] at
// every tick, announces a fetch with [Source.Begin], and hands the answer to
// [Source.Finish]:
//
//	if source.Due(now) {
//		fetch := source.Begin(now)
//		// send the request; when its answer comes, or cannot come any more:
//		outcome := source.Finish(later, fetch, answer)
//	}
//
// Where the location is a discovery document, [Discovery.Follow] leads from it
// to the JWK Set.
//
// The package takes the time, randomness and answers as plain arguments. It
// may not know the proxy, or how a document is fetched.
package jwks
