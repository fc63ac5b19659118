// Package advice reads a configuration as the plugin does. It names each error
// and its place. In a configuration without errors, it warns of what the author
// will hardly have meant.
//
// An error keeps the plugin from starting. A warning does not: the author may have
// a reason that the document does not show.
//
// The package is for the command. It fetches nothing.
package advice

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"orgate/config"
	"orgate/jwks"
)

// Finding is an error in a document, or a warning.
type Finding struct {
	// Code names the kind of warning, such as "no-audience". An error has
	// none.
	Code string `json:"code,omitempty"`
	// Path is the field, such as "issuers[1].audiences"; "" is the document.
	Path string `json:"path"`
	// Line and Column, counted from 1 and in characters, say where the value
	// begins, or, if it is missing, what should have held it.
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// PublishedKey is the code of the warning of a key that anybody can sign with.
const PublishedKey = "published-key"

// Result is what there is to say about a document.
type Result struct {
	// Config is the configuration as the plugin reads it, nil if there are
	// errors.
	Config *config.Config
	// Errors are what keeps the plugin from starting, in the document's
	// order: of the document, and of the keys in it.
	Errors []Finding
	// Warnings are given on documents without errors, in the document's order.
	Warnings []Finding

	document *document
}

// Read reads a document, JSON or YAML.
func Read(doc string) *Result {
	r := &Result{}
	text, isYAML := r.open(doc)
	if len(r.Errors) > 0 {
		return r
	}
	c, err := config.Parse(text)
	var found config.ErrorList
	if errors.As(err, &found) {
		for _, m := range found {
			if isYAML {
				m.Line, m.Column = r.Place(m.Path)
			}
			r.Errors = append(r.Errors, Finding{Path: m.Path, Line: m.Line, Column: m.Column, Message: m.Message})
		}
	}
	if c == nil {
		r.sort(r.Errors)
		return r
	}
	r.checkKeys(c)
	r.sort(r.Errors)
	if len(r.Errors) > 0 {
		return r
	}
	r.Config = c
	a := &adviser{result: r, config: c}
	if isYAML {
		a.advise("yaml", "", "this command reads YAML and the plugin does not: --print writes it as JSON")
	}
	a.issuers()
	a.rules()
	a.sharing()
	r.sort(r.Warnings)
	return r
}

// Place fills in where a field is.
func (r *Result) Place(path string) (line, column int) { return r.document.place(path) }

// IssuerPath returns the path of the issuer of this name. The configuration
// may hold fewer issuers than the document: those of its environment.
func (r *Result) IssuerPath(name string) string { return r.document.issuers[name] }

func (r *Result) sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
}

func (r *Result) refuse(path, message string) {
	line, column := r.Place(path)
	r.Errors = append(r.Errors, Finding{Path: path, Line: line, Column: column, Message: message})
}

// checkKeys reads the keys that are written down, one of which must be usable.
func (r *Result) checkKeys(c *config.Config) {
	for i := range c.Issuers {
		path := r.IssuerPath(c.Issuers[i].Name) + ".signatureValidation."
		validation := &c.Issuers[i].SignatureValidation
		if validation.Certificate != nil {
			set, err := jwks.ParsePEM(validation.Certificate.CertificateInline)
			r.checkSet(path+"certificate.certificateInline", set, err)
		}
		if validation.JWKS != nil && validation.JWKS.Inline != "" {
			set, err := jwks.Parse(string(validation.JWKS.Inline))
			r.checkSet(path+"jwks.inline", set, err)
		}
	}
}

func (r *Result) checkSet(path string, set *jwks.Set, err error) {
	switch {
	case err != nil:
		r.refuse(path, err.Error())
	case len(set.Keys) > 0:
	case len(set.Unusable) > 0:
		for _, reason := range set.Unusable {
			r.refuse(path, reason.Error())
		}
	default:
		r.refuse(path, "holds no key")
	}
}

// join returns the path of an object's member, as package config writes it.
func join(path, name string) string {
	plain := name != ""
	for i, c := range name {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		plain = plain && (letter || i > 0 && ('0' <= c && c <= '9' || c == '-'))
	}
	switch {
	case !plain:
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

// adviser looks at one configuration.
type adviser struct {
	result *Result
	config *config.Config
}

func (a *adviser) advise(code, path, format string, args ...any) {
	line, column := a.result.Place(path)
	a.result.Warnings = append(a.result.Warnings, Finding{
		Code: code, Path: path, Line: line, Column: column, Message: fmt.Sprintf(format, args...),
	})
}

// Enumerate writes words as "a, b and c".
func Enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
