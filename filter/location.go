package filter

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"orgate/config"
	"orgate/gate"
	"orgate/jwks"
)

// location is a place that keys are fetched from, on behalf of every issuer
// that names it with the same settings.
type location struct {
	place
	source  *jwks.Source
	issuers []string // names, for metrics and logs
	schedule

	// The last document that was looked for in shared data, by when its fetch
	// began, in nanoseconds since 1970.
	document int64
	record   string   // the name of the location's record in shared data
	gauges   []gauges // of the issuers
}

// place is where a location is, and how it is fetched.
type place struct {
	key       string // what issuers that share it have in common
	cluster   string
	url       string          // of the JWK Set, or of the discovery document
	discovery *jwks.Discovery // nil if url is the JWK Set's
	timeout   time.Duration   // of one request
}

// newLocations finds the locations of all issuers' keys, and the source of each
// issuer's, nil for those whose keys are written in the configuration. Issuers
// that name the same location with the same settings share it. Locations that
// were there before are kept, with the keys that they have.
func newLocations(c *config.Config, before []*location) ([]*jwks.Source, []*location) {
	locations := make([]*location, 0, len(c.Issuers))
	byKey := make(map[string]*location, len(c.Issuers))
	kept := make(map[string]*location, len(before))
	for _, l := range before {
		kept[l.key] = l
	}
	sources := make([]*jwks.Source, len(c.Issuers))
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		j := issuer.SignatureValidation.JWKS
		if j == nil || j.Inline != "" {
			continue
		}
		key := locationKey(issuer.Issuer, j)
		l := byKey[key]
		if l == nil {
			if l = kept[key]; l == nil {
				l = newLocation(key, issuer.DiscoveryIssuer(), j)
			}
			l.issuers, l.gauges = nil, nil
			byKey[key] = l
			locations = append(locations, l)
		}
		sources[i] = l.source
		l.issuers, l.gauges = append(l.issuers, issuer.Name), append(l.gauges, gauges{})
	}
	return sources, locations
}

// locationKey is what two issuers must have in common to share a location.
func locationKey(issuer string, j *config.JWKS) string {
	parts := []string{j.Cluster, j.URL}
	if j.WellKnown != "" {
		parts = []string{j.Cluster, j.WellKnown, issuer, strconv.FormatBool(j.AllowOtherOrigin)}
	}
	for _, d := range [...]config.Duration{j.Timeout, j.RefreshInterval, j.MaxStale, j.UnknownKidCooldown} {
		parts = append(parts, strconv.FormatInt(int64(d), 10))
	}
	return strings.Join(append(parts, j.Pins...), "\x00")
}

func newLocation(key, issuer string, j *config.JWKS) *location {
	// Nothing that outlives the configuration is a part of its document.
	l := &location{place: place{key: key, cluster: strings.Clone(j.Cluster), timeout: time.Duration(j.Timeout)}}
	l.url = strings.Clone(j.URL)
	if j.WellKnown != "" {
		l.url = strings.Clone(j.WellKnown)
		l.discovery = &jwks.Discovery{Issuer: strings.Clone(issuer), URL: l.url, AnyOrigin: j.AllowOtherOrigin}
	}
	l.source = jwks.NewSource(gate.SourcePolicy(j), rand.Float64)
	return l
}

// name is how logs name the issuers of a location.
func (l *location) name() string {
	const most = 5
	if len(l.issuers) <= most {
		return "issuer " + strings.Join(l.issuers, ", ")
	}
	return "issuer " + strings.Join(l.issuers[:most], ", ") + " and " + strconv.Itoa(len(l.issuers)-most) + " more"
}
