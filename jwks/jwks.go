// Package jwks holds the keys that verify an issuer's tokens, and their source.
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
// [Set.Select] returns the keys that may verify a token. They are the set's own. So
// with a set for each issuer, no key verifies another issuer's token, whatever its
// kid.
//
// # Sources
//
// A [Source] is the life of the keys behind one location: when to fetch, what a
// response means, how long keys are good, and when to retry. It is a state machine
// that fetches nothing itself. Its user asks [Source.Due] at every tick, announces
// a fetch with [Source.Begin], and hands the response to [Source.Finish]:
//
//	if source.Due(now) {
//		fetch := source.Begin(now)
//		// send the request; when its response comes, or cannot come any more:
//		outcome := source.Finish(later, fetch, response)
//	}
//
// If the location is a discovery document, [Discovery.Follow] leads from it to
// the JWK Set.
//
// # Workers
//
// A proxy has a worker for each thread, each with its own Source. For each
// location, they share the [Document] that was fetched last, and a [Record] whose
// [Lease] names the owner: the worker that fetches. All of these are values with
// pure functions. The user of the sources reads and swaps them:
//
//	source.Merge(now, record) // what the others have seen
//	if record, ok := source.Claim(now, record, worker, waiting); ok {
//		// swap it in, and fetch; when the fetch has ended:
//		record = record.Merge(later, outcome.Record)
//	}
//
// The package takes the time, randomness and responses as plain arguments. It
// may not know the proxy, or how a document is fetched.
package jwks
