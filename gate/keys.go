package gate

import (
	"errors"
	"time"

	"orgate/config"
	"orgate/jwks"
	"orgate/jwt"
)

// keyring is where one issuer's keys are.
type keyring struct {
	// source is the life of the keys that are fetched, nil if none are.
	source *jwks.Source
	// inline is the configured JWK Set, nil if there is none.
	inline *jwks.Set
	// certificates are the configured keys that stand in if the JWK Set has
	// none for a token, nil if there are none.
	certificates *jwks.Set
}

// newKeyring reads the keys that are written in the configuration. The warnings
// name those that are not used beside others that are.
func newKeyring(issuer *config.Issuer) (k keyring, warnings []string, err error) {
	place := issuer.Path + ".signatureValidation."
	var problems []error
	read := func(place string, set *jwks.Set, err error) *jwks.Set {
		left, err := unusable(place, set, err)
		warnings = append(warnings, left...)
		if err != nil {
			problems = append(problems, err)
			return nil
		}
		return set
	}
	if certificate := issuer.SignatureValidation.Certificate; certificate != nil {
		set, err := jwks.ParsePEM(certificate.CertificateInline)
		k.certificates = read(place+"certificate.certificateInline: ", set, err)
	}
	if j := issuer.SignatureValidation.JWKS; j != nil && j.Inline != "" {
		set, err := jwks.Parse(string(j.Inline))
		if set = read(place+"jwks.inline: ", set, err); set != nil {
			k.inline = set.Pin(j.Pins)
		}
	}
	return k, warnings, errors.Join(problems...)
}

// unusable says what is wrong with configured keys: there must be one at least
// that can be used. Others beside it are left out with a warning.
func unusable(place string, set *jwks.Set, err error) (warnings []string, _ error) {
	switch {
	case err != nil:
		return nil, errors.New(place + err.Error())
	case len(set.Keys) == 0 && len(set.Unusable) == 0:
		return nil, errors.New(place + "holds no key")
	}
	var problems []error
	for _, reason := range set.Unusable {
		problems = append(problems, errors.New(place+reason.Error()))
		warnings = append(warnings, "key not used: "+place+reason.Error())
	}
	if len(set.Keys) == 0 {
		return nil, errors.Join(problems...)
	}
	return warnings, nil
}

// SourcePolicy is how the keys behind an issuer's location are kept. Discovery
// takes two requests, one after the other.
func SourcePolicy(j *config.JWKS) jwks.Policy {
	timeout := time.Duration(j.Timeout)
	if j.WellKnown != "" {
		timeout *= 2
	}
	return jwks.Policy{
		RefreshInterval:    time.Duration(j.RefreshInterval),
		MaxStale:           time.Duration(j.MaxStale),
		UnknownKidCooldown: time.Duration(j.UnknownKidCooldown),
		Timeout:            timeout,
		Pins:               j.Pins,
	}
}

// fetched is the JWK Set, nil while the source has none.
func (k *keyring) fetched(now time.Time) *jwks.Set {
	if k.source == nil {
		return k.inline
	}
	set, _ := k.source.Keys(now)
	return set
}

// candidates are the keys that a token is tried with: those of the first set
// that has a key for the token. Others may come instead of them, or besides,
// unless they are final: unless the JWK Set is here and has keys for the token's
// own kid.
func (k *keyring) candidates(token *jwt.Token, now time.Time) (keys []*jwt.Key, final bool) {
	set := k.fetched(now)
	if keys := set.Select(token); len(keys) > 0 {
		return keys, k.source == nil || token.KeyID == "" || set.HasKeyID(token.KeyID)
	}
	return k.certificates.Select(token), k.source == nil
}

// generation changes whenever the keys do. It is 0 while there are none but those
// that are configured.
func (k *keyring) generation(now time.Time) uint64 {
	if k.source == nil || k.fetched(now) == nil {
		return 0
	}
	return k.source.Generation()
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

// failure is why none of a token's candidates has verified it.
func (k *keyring) failure(token *jwt.Token, candidates int, final bool, now time.Time) error {
	switch {
	case final && candidates > 0:
		return jwt.ErrSignature
	case final:
		return jwt.ErrUnknownKey
	}
	switch k.source.Want(now, token.KeyID) {
	case jwks.Wait:
		return errWait
	case jwks.Unavailable:
		return ErrKeysUnavailable
	default:
		return jwt.ErrUnknownKey
	}
}
