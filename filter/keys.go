package filter

import (
	"errors"
	"strconv"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"orgate/config"
	"orgate/jwks"
	"orgate/jwt"
)

// errWait: the keys may come, the stream should wait for them.
var errWait = errors.New("waiting for keys")

// keyring is where one issuer's keys are.
type keyring struct {
	// location is where the JWK Set is fetched, nil where it is inline or
	// there is none.
	location *location
	// inline is the configured JWK Set, nil if there is none.
	inline *jwks.Set
	// certificates are the configured keys that stand in where the JWK Set
	// has none for a token, nil if there are none.
	certificates *jwks.Set
}

// sets are the keys that may verify a token now, in the order in which they are
// asked: the first one that has a key for the token decides. There is no JWK Set
// while the location has none.
func (k *keyring) sets(now time.Time) [2]*jwks.Set {
	set := k.inline
	if k.location != nil {
		set, _ = k.location.source.Keys(now)
	}
	return [2]*jwks.Set{set, k.certificates}
}

// candidates are the keys that a token is tried with. Others may come instead of
// them, or besides, unless they are final: unless the JWK Set is here and has keys
// for the token.
func (k *keyring) candidates(token *jwt.Token, now time.Time) (keys []*jwt.Key, final bool) {
	for i, set := range k.sets(now) {
		if keys := set.Select(token); len(keys) > 0 {
			return keys, i == 0 || k.location == nil
		}
	}
	return nil, k.location == nil
}

// generation changes whenever the keys do. It is 0 while there are none but those
// that are configured.
func (k *keyring) generation(now time.Time) uint64 {
	if k.location == nil || k.sets(now)[0] == nil {
		return 0
	}
	return k.location.source.Generation()
}

// verify verifies a token's signature with the issuer's own keys and returns
// the key. The error is [errWait] if the right key may be on its way. Arithmetic
// may be nil.
func (k *keyring) verify(token *jwt.Token, now time.Time, arithmetic jwt.Arithmetic) (*jwt.Key, error) {
	candidates, final := k.candidates(token, now)
	for _, key := range candidates {
		err := token.VerifyWith(key, arithmetic)
		if err == nil {
			return key, nil
		}
		if !errors.Is(err, jwt.ErrSignature) {
			return nil, err
		}
	}
	switch {
	case final && len(candidates) > 0:
		return nil, jwt.ErrSignature
	case final:
		return nil, jwt.ErrUnknownKey
	}
	switch k.location.source.Want(now, token.KeyID) {
	case jwks.Wait:
		return nil, errWait
	case jwks.Unavailable:
		return nil, errKeysUnavailable
	default:
		return nil, jwt.ErrUnknownKey
	}
}

// holds reports whether the key that once verified the token would be asked to
// verify it now.
func (k *keyring) holds(v *verdict, token *jwt.Token, now time.Time) bool {
	generation := k.generation(now)
	if v.generation == generation {
		return true
	}
	keys, _ := k.candidates(token, now)
	for _, key := range keys {
		if key.Thumbprint == v.key.Thumbprint {
			v.generation = generation
			return true
		}
	}
	return false
}

// newKeyrings prepares the keys of all issuers. Issuers that name the same
// location with the same settings share it.
// Locations that were there before are kept, with the keys that they have.
func newKeyrings(c *config.Config, before []*location) ([]keyring, []*location, error) {
	var locations []*location
	byKey := map[string]*location{}
	kept := map[string]*location{}
	for _, l := range before {
		kept[l.key] = l
	}
	rings := make([]keyring, len(c.Issuers))
	var problems []error
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		ring := &rings[i]
		place := "issuers[" + strconv.Itoa(issuer.Index) + "].signatureValidation."
		if certificate := issuer.SignatureValidation.Certificate; certificate != nil {
			set, err := jwks.ParsePEM(certificate.CertificateInline)
			if problem := unusable(place+"certificate.certificateInline: ", set, err); problem != nil {
				problems = append(problems, problem)
			}
			ring.certificates = set
		}
		j := issuer.SignatureValidation.JWKS
		if j == nil {
			continue
		}
		if j.Inline != "" {
			set, err := jwks.Parse(string(j.Inline))
			if problem := unusable(place+"jwks.inline: ", set, err); problem != nil {
				problems = append(problems, problem)
				continue
			}
			ring.inline = set.Pin(j.Pins)
			continue
		}
		key := locationKey(issuer.Issuer, j)
		l := byKey[key]
		if l == nil {
			if l = kept[key]; l == nil {
				l = newLocation(key, issuer.Issuer, j)
			}
			l.issuers = nil
			byKey[key] = l
			locations = append(locations, l)
		}
		ring.location = l
		l.issuers = append(l.issuers, issuer.Name)
	}
	return rings, locations, errors.Join(problems...)
}

// unusable says what is wrong with configured keys: there must be one at least
// that can be used. Others beside it, such as the key for encryption that some
// providers publish along, are left out with a warning.
func unusable(place string, set *jwks.Set, err error) error {
	switch {
	case err != nil:
		return errors.New(place + err.Error())
	case len(set.Keys) == 0 && len(set.Unusable) == 0:
		return errors.New(place + "holds no key")
	}
	var problems []error
	for _, reason := range set.Unusable {
		problems = append(problems, errors.New(place+reason.Error()))
	}
	if len(set.Keys) == 0 {
		return errors.Join(problems...)
	}
	for _, problem := range problems {
		proxywasm.LogWarn("key not used: " + problem.Error())
	}
	return nil
}
