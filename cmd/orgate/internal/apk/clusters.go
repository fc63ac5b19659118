package apk

import (
	"net/url"
	"strconv"
	"strings"

	"orgate/cmd/orgate/internal/render"
)

// connect gives an issuer the cluster of its JWK Set. Issuers share one where
// host, port and certificate authorities are the same.
func (im *importer) connect(i *issuer) {
	keys := i.SignatureValidation.JWKS
	if keys == nil {
		return
	}
	c := &render.Cluster{CA: i.ca, CAFile: im.options.TrustedCA}
	u, err := url.Parse(keys.URL)
	if err == nil {
		c.Host, c.TLS, c.Port = strings.ToLower(u.Hostname()), strings.EqualFold(u.Scheme, "https"), portOf(u)
	}
	if !c.TLS {
		c.CAFile = ""
		im.note(i.from, i.keysAt, "the keys come over plain http: whoever is on the way can put in one of their own")
		if i.ca != "" {
			im.dropped(i.from, i.keysAt, "the certificate authority of a connection without TLS")
			c.CA = ""
		}
	}
	name := "idp-" + strings.Trim(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, c.Host), "-")
	if usual := map[bool]int{true: 443, false: 80}[c.TLS]; c.Port != usual {
		name += "-" + itoa(c.Port)
	}
	for n := 1; ; n++ {
		c.Name = name
		if n > 1 {
			c.Name += "-" + itoa(n)
		}
		other := im.clusterNamed(c.Name)
		if other == nil {
			im.clusters = append(im.clusters, c)
		}
		if other == nil || *other == *c {
			keys.Cluster = c.Name
			return
		}
	}
}

func (im *importer) clusterNamed(name string) *render.Cluster {
	for _, c := range im.clusters {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if strings.EqualFold(u.Scheme, "http") {
		return 80
	}
	return 443
}

// renderClusters writes clusters as Envoy's YAML.
func renderClusters(clusters []*render.Cluster) []byte {
	var b strings.Builder
	b.WriteString(`# Clusters that the plugin fetches keys through: a part of Envoy's
# static_resources. The keys are worth what the connection is worth: the
# validation context checks that the certificate is that host's.
clusters:
`)
	for _, c := range clusters {
		text, err := c.YAML()
		if err != nil {
			panic(err) // the template is complete
		}
		b.WriteString("  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n")
	}
	return []byte(b.String())
}
