package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
)

// stringLiteral is a string of a JSON document.
var stringLiteral = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// json writes the configuration anew, in the order it was written, with the
// issuers' clusters exchanged: rename is given a cluster and the location that
// is fetched through it. What comes out is both JSON and YAML.
func (d *Document) json(rename func(cluster, location string) string) string {
	doc := strings.TrimSpace(d.doc)
	issuers := gjson.Get(doc, "issuers").Array()
	for i := len(issuers) - 1; i >= 0; i-- { // the last first: the places of the others stay
		keys := issuers[i].Get("signatureValidation.jwks")
		if cluster := keys.Get("cluster"); cluster.Type == gjson.String {
			name := rename(cluster.String(), keys.Get("url").String()+keys.Get("wellKnown").String())
			doc = doc[:cluster.Index] + quote(name) + doc[cluster.Index+len(cluster.Raw):]
		}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(doc), "", "  "); err != nil {
		panic(err) // package config has read it
	}
	return stringLiteral.ReplaceAllStringFunc(indented.String(),
		func(literal string) string { return quote(gjson.Parse(literal).String()) })
}

// asWritten keeps the clusters.
func asWritten(cluster, _ string) string { return cluster }

// quote writes a string that JSON and YAML read alike: YAML takes neither
// surrogates nor every character as it is (YAML 1.2 §5.1).
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c > 0xffff || unicode.IsPrint(c) && c != unicode.ReplacementChar:
			b.WriteRune(c)
		default:
			_, _ = fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
