package apk

import (
	"net/url"
	"strconv"
	"strings"

	"orgate/admin/render"
)

// connect gives an issuer the clusters of its JWK Set and of its introspection.
func (im *importer) connect(i *issuer) {
	if keys := i.SignatureValidation.JWKS; keys != nil {
		keys.Cluster = im.cluster(i, keys.URL+keys.WellKnown, i.keysAt, // one of them is empty
			"the keys come over plain http: whoever is on the way can put in one of their own")
	}
	if i.Introspection != nil {
		i.Introspection.Cluster = im.cluster(i, i.Introspection.URL, i.introspectionAt,
			"tokens and the client's secret go over plain http: whoever is on the way can read them, and say that "+
				"any is good")
	}
}

// cluster returns the name of a location's cluster. Issuers share one where host,
// port and certificate authorities are the same. The warning is for plain http.
func (im *importer) cluster(i *issuer, location string, at node, warning string) string {
	c := &render.Cluster{CA: i.ca, CAFile: im.options.TrustedCA}
	u, err := url.Parse(location)
	if err == nil {
		c.Host, c.TLS, c.Port = strings.ToLower(u.Hostname()), strings.EqualFold(u.Scheme, "https"), portOf(u)
	}
	if !c.TLS {
		c.CAFile = ""
		im.note(i.from, at, "%s", warning)
		if i.ca != "" {
			im.dropped(i.from, at, "the certificate authority of a connection without TLS")
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
			return c.Name
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
