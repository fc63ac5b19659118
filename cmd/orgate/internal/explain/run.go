package explain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"orgate/cmd/orgate/internal/keyfetch"
	"orgate/config"
	"orgate/host"
	"orgate/jwt"
)

// sent is the request with the token in it.
type sent struct {
	path    string
	headers host.Headers // without pseudo-headers
	// place is where the token is, for people.
	place string
}

// errNoPlace is the error for a configuration that takes no token in any
// place, which package config refuses.
var errNoPlace = errors.New("the configuration names no place for tokens")

// send puts the token in the first place that the configuration names.
func (in *Input) send() (*sent, error) {
	s := &sent{path: in.Request.Path}
	for _, h := range in.Request.Headers {
		s.headers = append(s.headers, h)
	}
	if in.Token == "" {
		return s, nil
	}
	switch places := &in.Config.TokenSources; {
	case len(places.Headers) > 0:
		name := places.Headers[0].Name
		s.headers = append(s.headers, [2]string{name, places.Headers[0].Prefix + in.Token})
		s.place = "the header " + name
	case len(places.Query) > 0:
		separator := "?"
		if strings.Contains(s.path, "?") {
			separator = "&"
		}
		s.path += separator + url.QueryEscape(places.Query[0]) + "=" + url.QueryEscape(in.Token)
		s.place = "the query parameter " + places.Query[0]
	case len(places.Cookies) > 0:
		s.headers = append(s.headers, [2]string{"cookie", places.Cookies[0] + "=" + in.Token})
		s.place = "the cookie " + places.Cookies[0]
	default:
		return nil, errNoPlace
	}
	return s, nil
}

// outcome is what the plugin made of a request.
type outcome struct {
	verdict
	answer   *host.LocalResponse
	upstream host.Headers
	fetched  map[string]fetched // by cluster and URL
}

// fetched is what became of a fetch.
type fetched struct {
	document *Document
	err      error
}

// run has the plugin judge the request.
func run(ctx context.Context, in *Input, s *sent) (*outcome, error) {
	now := in.Now
	var errorLines []string
	vm, err := in.Plugin.NewVM(host.Config{
		Clusters: in.clusters(),
		Foreign:  map[string]host.ForeignFunction{"verify_signature": host.VerifySignature},
		LogLevel: host.LogError,
		Log:      func(_ host.LogLevel, message string) { errorLines = append(errorLines, message) },
		Clock:    func() time.Time { return now },
	})
	if err != nil {
		return nil, err
	}
	defer vm.Close()
	root, err := vm.NewRoot(host.RootConfig{Name: "orgate", Configuration: []byte(in.Document)})
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.Join(errorLines, "; "))
	}
	o := &outcome{fetched: map[string]fetched{}}
	wanted := in.wanted()
	tick := func() error {
		root.Tick()
		for callouts := vm.TakeCallouts(); len(callouts) > 0; callouts = vm.TakeCallouts() {
			for _, c := range callouts {
				if err := in.respond(ctx, c, o.fetched, wanted); err != nil {
					return err
				}
			}
		}
		return vm.Err()
	}
	if err := tick(); err != nil {
		return nil, err
	}
	stream := root.NewStream()
	defer stream.Close()
	for name, value := range in.Request.Metadata {
		dot := strings.LastIndexByte(name, '.')
		stream.SetProperty([]byte(value), "xds", "route_metadata", "filter_metadata", name[:dot], name[dot+1:])
	}
	headers := host.Headers{{":authority", in.Request.Host}, {":method", in.Request.Method}, {":path", s.path}, {":scheme", in.Request.Scheme}}
	stream.RequestHeaders(append(headers, s.headers...), true)
	// A stream that waits for keys waits for a fetch, or for the end of its
	// patience.
	if stream.RequestAction() == host.Pause {
		if err := tick(); err != nil {
			return nil, err
		}
	}
	if stream.RequestAction() == host.Pause {
		now = now.Add(time.Duration(in.Config.Limits.KeyWait))
		if err := tick(); err != nil {
			return nil, err
		}
	}
	if err := vm.Err(); err != nil {
		return nil, err
	}
	o.read(stream)
	return o, nil
}

// read takes down where the request stands.
func (o *outcome) read(s *host.Stream) {
	property := func(name string) string {
		value, _ := s.Property(name)
		return string(value)
	}
	o.reason, o.issuer, o.organization = property("orgate.reason"), property("orgate.issuer"), property("orgate.organization")
	switch s.RequestAction() {
	case host.Continue:
		o.passed, o.upstream = true, s.RequestHeaderMap()
	case host.Answer:
		o.answer = s.LocalResponse()
	}
}

func (in *Input) clusters() []string {
	var names []string
	for i := range in.Config.Issuers {
		if j := in.Config.Issuers[i].SignatureValidation.JWKS; j != nil && j.Cluster != "" {
			names = append(names, j.Cluster)
		}
	}
	return names
}

// wanted are the documents of the issuers that the token could be of, by cluster
// and URL. No other identity provider is asked for anything.
func (in *Input) wanted() map[string]*config.Issuer {
	wanted := map[string]*config.Issuer{}
	token, err := jwt.Parse(in.Token, in.Config.Limits.TokenBytes)
	if err != nil {
		return wanted
	}
	for i := range in.Config.Issuers {
		issuer := &in.Config.Issuers[i]
		if j := issuer.SignatureValidation.JWKS; j != nil && issuer.Issuer == token.Claims.Issuer() {
			wanted[j.Cluster+" "+j.URL+j.WellKnown] = issuer // one of them is empty
		}
	}
	return wanted
}

// respond answers a call-out, with a document or with a failure.
func (in *Input) respond(ctx context.Context, c *host.Callout, known map[string]fetched, wanted map[string]*config.Issuer) error {
	scheme, _ := c.Headers.Get(":scheme")
	authority, _ := c.Headers.Get(":authority")
	path, _ := c.Headers.Get(":path")
	location := scheme + "://" + authority + path
	place := c.Cluster + " " + location
	issuer := wanted[place]
	if issuer == nil {
		return c.Fail()
	}
	f, ok := known[place]
	if !ok {
		f.document, f.err = in.Get(ctx, Location{Cluster: c.Cluster, URL: location, Timeout: c.Timeout})
		known[place] = f
	}
	if f.err != nil {
		return c.Fail()
	}
	if location == issuer.SignatureValidation.JWKS.WellKnown {
		if next, err := keyfetch.Follow(issuer, f.document.Body); err == nil {
			wanted[c.Cluster+" "+next] = issuer
		}
	}
	headers := host.Headers{{":status", strconv.Itoa(f.document.Status)}}
	for _, value := range f.document.Header.Values(http.CanonicalHeaderKey("cache-control")) {
		headers = append(headers, [2]string{"cache-control", value})
	}
	return c.Respond(headers, []byte(f.document.Body), nil)
}
