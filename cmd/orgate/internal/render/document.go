package render

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"
)

// json writes the configuration anew, in the order it was written, with the
// issuers' clusters exchanged: rename is given a cluster and the location that
// is fetched through it. What comes out is both JSON and YAML.
func (d *Document) json(rename func(cluster, location string) string) string {
	p := &printer{rename: rename}
	p.value(gjson.Parse(d.doc), "", 0)
	return p.String()
}

// asWritten keeps the clusters.
func asWritten(cluster, _ string) string { return cluster }

type printer struct {
	strings.Builder
	rename func(cluster, location string) string
}

// value writes a value that stands in pattern, a path without indexes.
func (p *printer) value(v gjson.Result, pattern string, depth int) {
	switch {
	case v.IsObject():
		p.members(v, pattern, depth)
	case v.IsArray():
		p.elements(v, pattern, depth)
	case v.Type == gjson.String:
		p.WriteString(quote(v.String()))
	default:
		p.WriteString(v.Raw)
	}
}

func (p *printer) members(object gjson.Result, pattern string, depth int) {
	first := true
	object.ForEach(func(name, value gjson.Result) bool {
		p.separate(&first, "{", depth)
		p.WriteString(quote(name.String()) + ": ")
		at := pattern + "." + name.String()
		if at == ".issuers.signatureValidation.jwks.cluster" && value.Type == gjson.String {
			p.WriteString(quote(p.rename(value.String(), object.Get("url").String()+object.Get("wellKnown").String())))
		} else {
			p.value(value, at, depth+1)
		}
		return true
	})
	p.end(first, "{", "}", depth)
}

// elements writes an array: on one line, unless it holds objects or arrays.
func (p *printer) elements(array gjson.Result, pattern string, depth int) {
	first, flat := true, true
	array.ForEach(func(_, value gjson.Result) bool {
		flat = flat && !value.IsObject() && !value.IsArray()
		return flat
	})
	array.ForEach(func(_, value gjson.Result) bool {
		switch {
		case !flat:
			p.separate(&first, "[", depth)
		case first:
			p.WriteString("[")
			first = false
		default:
			p.WriteString(", ")
		}
		p.value(value, pattern, depth+1)
		return true
	})
	if flat && !first {
		p.WriteString("]")
		return
	}
	p.end(first, "[", "]", depth)
}

func (p *printer) separate(first *bool, begin string, depth int) {
	if *first {
		p.WriteString(begin)
	} else {
		p.WriteString(",")
	}
	*first = false
	p.WriteString("\n" + strings.Repeat("  ", depth+1))
}

func (p *printer) end(empty bool, begin, end string, depth int) {
	if empty {
		p.WriteString(begin + end)
		return
	}
	p.WriteString("\n" + strings.Repeat("  ", depth) + end)
}

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
