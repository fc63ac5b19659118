package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"orgate/config"
	"orgate/e2e/echo"
	"orgate/e2e/idp"
	"orgate/internal/page"
)

// standIn is where a guide's peers are.
type standIn struct{ dir, idp, upstream string }

// run stands in for the guide's providers until the context ends.
func (o *standIn) run(ctx context.Context, file string, stdout io.Writer) error {
	g, err := readGuide(file)
	if err != nil {
		return err
	}
	if err := g.write(o.dir); err != nil {
		return err
	}
	idpURL, closeIDP, err := listen(o.idp, g.locations())
	if err != nil {
		return err
	}
	defer closeIDP()
	upstreamURL, closeUpstream, err := listen(o.upstream, echo.Handler())
	if err != nil {
		return err
	}
	defer closeUpstream()
	_, err = fmt.Fprintf(stdout, "In another terminal (the last command in a third):\n\n%s\n\nCtrl-C ends it.\n",
		strings.Join(g.commands(o.dir, idpURL, upstreamURL), "\n"))
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// guide is what a page has to try.
type guide struct {
	configuration string
	parsed        *config.Config
	request       page.Request
	refused       []page.Request // answered 403
	header        string
	claims        map[string]any
	providers     []*idp.Provider // of the issuers, in their order
	signer        int             // whose token it is
	token         string
}

// readGuide reads a page with a configuration, a token and a request, and
// makes a provider of each issuer. Those that are not the token's have other
// keys under the same kid.
func readGuide(file string) (*guide, error) {
	blocks, err := page.Read(file)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, info := range []string{"json configuration", "json token", "text request"} {
		texts := page.Texts(blocks, info)
		if len(texts) == 0 {
			return nil, fmt.Errorf("%s: there is no %s to try", file,
				strings.TrimPrefix(strings.TrimPrefix(info, "json "), "text "))
		}
		found[info] = texts[0]
	}
	g := &guide{configuration: found["json configuration"], request: page.ParseRequest(found["text request"])}
	for _, text := range page.Texts(blocks, "text refused") {
		g.refused = append(g.refused, page.ParseRequest(text))
	}
	if g.parsed, err = config.Parse(g.configuration); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var token struct {
		Header  map[string]any
		Payload map[string]any
	}
	if err := json.Unmarshal([]byte(found["json token"]), &token); err != nil {
		return nil, fmt.Errorf("%s: token: %w", file, err)
	}
	header, err := json.Marshal(token.Header)
	if err != nil {
		return nil, err
	}
	g.header, g.claims = string(header), token.Payload
	kid, _ := token.Header["kid"].(string)
	tid, _ := token.Payload["tid"].(string)
	g.signer = slices.IndexFunc(g.parsed.Issuers, func(i config.Issuer) bool {
		return strings.ReplaceAll(i.Issuer, config.Tenant, tid) == token.Payload["iss"]
	})
	if g.signer < 0 {
		return nil, fmt.Errorf("%s: the token is of no issuer of the configuration", file)
	}
	for _, issuer := range g.parsed.Issuers {
		g.providers = append(g.providers, idp.New(
			idp.WithURL(origin(location(issuer))),
			idp.WithTenant(idp.Tenant{Name: tenant(issuer), Issuer: issuer.DiscoveryIssuer(), KeyID: kid}),
		))
	}
	return g, nil
}

// tenant is an issuer's path segment at its provider.
func tenant(i config.Issuer) string { return url.PathEscape(i.Name) }

// location is where an issuer's keys, or its discovery document, are. It is
// empty if the configuration holds the keys.
func location(i config.Issuer) string {
	j := i.SignatureValidation.JWKS
	if j == nil {
		return ""
	}
	return j.URL + j.WellKnown
}

func origin(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// write makes the folder with the configuration and the token. The token is
// for its owner's eyes, although nobody but this guide accepts it.
func (g *guide) write(dir string) error {
	now := time.Now()
	g.claims["iat"], g.claims["exp"] = now.Unix(), now.Add(time.Hour).Unix()
	payload, err := json.Marshal(g.claims)
	if err != nil {
		return err
	}
	g.token = g.providers[g.signer].Mint(tenant(g.parsed.Issuers[g.signer]), idp.RawHeader(g.header),
		idp.RawPayload(string(payload)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "orgate.json"), []byte(g.configuration+"\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "token.txt"), []byte(g.token+"\n"), 0o600)
}

// locations serves each issuer's documents under the path that the
// configuration has for them, and the discovery document in any case. Whoever
// asks the token's issuer for a token gets the guide's.
func (g *guide) locations() http.Handler {
	mux := http.NewServeMux()
	served := map[string]bool{}
	for n, issuer := range g.parsed.Issuers {
		at := location(issuer)
		u, err := url.Parse(at)
		if err != nil || u.Path == "" || served[at] {
			continue
		}
		served[at] = true
		provider := g.providers[n]
		own := "/" + tenant(issuer) + "/"
		document := own + "jwks"
		discovery := own + ".well-known/openid-configuration"
		if issuer.SignatureValidation.JWKS.WellKnown != "" {
			document = discovery
			mux.Handle("GET "+own, provider)
		} else if i, err := url.Parse(issuer.Issuer); err == nil && i.Hostname() == u.Hostname() {
			mux.HandleFunc("GET "+i.Hostname()+strings.TrimSuffix(i.Path, "/")+"/.well-known/openid-configuration",
				serve(provider, discovery))
		}
		mux.HandleFunc("GET "+u.Hostname()+u.Path, serve(provider, document))
		if n == g.signer {
			mux.HandleFunc("POST "+own+"token", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(map[string]string{"access_token": g.token, "token_type": "Bearer"})
			})
		}
	}
	return mux
}

// serve serves one of a provider's documents.
func serve(provider http.Handler, path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = path
		provider.ServeHTTP(w, r)
	}
}

// commands are what to do next, for a shell.
func (g *guide) commands(dir, idpURL, upstreamURL string) []string {
	configuration, token := dir+"/orgate.json", dir+"/token.txt"
	clusters := ""
	for _, name := range g.clusters() {
		clusters += " --cluster " + name + "=" + idpURL
	}
	commands := []string{
		"build/orgate check " + configuration,
		"build/orgate check --online" + clusters + " " + configuration,
	}
	for _, r := range append([]page.Request{g.request}, g.refused...) {
		host := cmp.Or(r.Host, "api.example.com")
		command := "build/orgate explain --config " + configuration + " --token " + token + clusters +
			" --request '" + r.Method + " https://" + host + r.Path + "'"
		for _, h := range r.Headers {
			command += " --header '" + h[0] + ": " + h[1] + "'"
		}
		commands = append(commands, command)
	}
	curl := `curl -H "authorization: Bearer $(cat ` + token + `)"`
	if g.request.Host != "" {
		curl += " -H 'host: " + g.request.Host + "'"
	}
	for _, h := range g.request.Headers {
		curl += " -H '" + h[0] + ": " + h[1] + "'"
	}
	return append(commands,
		"build/orgate run --config "+configuration+clusters+" --upstream "+upstreamURL,
		curl+" http://127.0.0.1:8080"+g.request.Path,
	)
}

// clusters are those that the configuration names, in its order.
func (g *guide) clusters() []string {
	var names []string
	for _, i := range g.parsed.Issuers {
		if j := i.SignatureValidation.JWKS; j != nil && j.Cluster != "" && !slices.Contains(names, j.Cluster) {
			names = append(names, j.Cluster)
		}
	}
	return names
}
