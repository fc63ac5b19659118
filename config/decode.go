package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// elsewhere holds the fields of a TokenIssuer that have no place in the
// document, and where what they say belongs.
var elsewhere = map[string]string{
	"issuers[].targetRef": "has no meaning here: the issuer is used wherever the plugin is attached" +
		` ("orgate import" leaves it out)`,
	"issuers[].signatureValidation.jwks.tls": "cannot be resolved in the sandbox: it belongs in the transport_socket" +
		` of the cluster that the keys are fetched through ("orgate import" writes it)`,
	"issuers[].signatureValidation.certificate.secretRef": "cannot be resolved in the sandbox: put the PEM itself" +
		` in certificateInline, and what secures a connection in the transport_socket of its cluster ("orgate ` +
		`import" writes both)`,
	"issuers[].signatureValidation.certificate.configMapRef": "cannot be resolved in the sandbox: put the PEM itself" +
		` in certificateInline, and what secures a connection in the transport_socket of its cluster ("orgate ` +
		`import" writes both)`,
}

// limits is what a field's tags ask of its value.
type limits struct {
	required bool
	enum     string
	min, max string
}

func limitsOf(tag reflect.StructTag) limits {
	return limits{
		required: tag.Get("required") == "true",
		enum:     tag.Get("enum"),
		min:      tag.Get("min"),
		max:      tag.Get("max"),
	}
}

// filled reports whether a string, list or map must not be empty.
func (l limits) filled() bool { return l.required || l.min == "1" }

// decode reads v into a value.
func (r *reader) decode(path string, v gjson.Result, into reflect.Value, l limits) {
	switch p := into.Addr().Interface().(type) {
	case *string:
		*p, _ = r.str(path, v, l)
	case *bool:
		if !v.IsBool() {
			r.wrongType(path, "true or false", v)
			return
		}
		*p = v.Bool()
	case *int:
		r.integer(path, v, p, l)
	case *Duration:
		r.duration(path, v, p, l)
	case *JSON:
		*p = JSON(v.Raw)
	case *ClaimName:
		r.claimName(path, v, p)
	case *AnyOrAll:
		r.anyOrAll(path, v, p)
	case *Organization:
		r.organization(path, v, p)
	case *Secret:
		r.secret(path, v, p)
	case *map[string]string:
		r.stringMap(path, v, p, l)
	default:
		switch into.Kind() {
		case reflect.Struct:
			r.object(path, v, into)
		case reflect.Pointer:
			into.Set(reflect.New(into.Type().Elem()))
			r.decode(path, v, into.Elem(), l)
		case reflect.Slice:
			r.array(path, v, into, l)
		default:
			panic("config: no decoder for " + into.Type().String())
		}
	}
}

// object reads the members of a struct and applies the defaults of those that
// are absent.
func (r *reader) object(path string, v gjson.Result, into reflect.Value) {
	if !v.IsObject() {
		r.wrongType(path, "an object", v)
		return
	}
	if isResource(v) {
		r.fail(path, v.Index, `is a whole Kubernetes resource: each of "issuers" is the spec of a TokenIssuer`+
			` with the name of its cluster in signatureValidation.jwks ("orgate import" writes it)`)
		return
	}
	t := into.Type()
	seen := map[string]bool{}
	r.members(path, v, func(at, name string, value gjson.Result) {
		seen[name] = true
		f, ok := fieldNamed(t, name)
		if !ok {
			r.fail(at, value.Index, unknownField(at, name, t))
			return
		}
		r.decode(at, value, into.FieldByIndex(f.Index), limitsOf(f.Tag))
	})
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("json"); !seen[name] {
			r.absent(path, name, v.Index, into.Field(i), f.Tag)
		}
	}
}

// absent gives a member that the document does not have its default.
func (r *reader) absent(path, name string, offset int, into reflect.Value, tag reflect.StructTag) {
	if tag.Get("required") == "true" {
		r.fail(member(path, name), offset, "is required")
		return
	}
	into.Set(r.defaultOf(into.Type(), tag))
}

type defaultKey struct {
	t   reflect.Type
	tag reflect.StructTag
}

// defaultOf is the value of a member that is not there. Defaults are read by a
// reader of their own, for which places mean nothing, and without the limits that
// mean "absent, but not empty".
func (r *reader) defaultOf(t reflect.Type, tag reflect.StructTag) reflect.Value {
	if r.defaults == nil {
		r.defaults = map[defaultKey]reflect.Value{}
	}
	value, ok := r.defaults[defaultKey{t, tag}]
	if !ok {
		value = reflect.New(t).Elem()
		d := &reader{step: func() {}, defaults: r.defaults}
		if text, ok := tag.Lookup("default"); ok {
			d.decode("", gjson.Parse(text), value, limits{})
		} else if t.Kind() == reflect.Struct && !isScalar(value) {
			d.decode("", gjson.Parse("{}"), value, limits{})
		}
		r.defaults[defaultKey{t, tag}] = value
	}
	return value
}

// isScalar reports whether a structure is written as something else than an
// object, too, and is empty if it is absent.
func isScalar(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case *AnyOrAll, *Organization, *ClaimName, *Secret:
		return true
	}
	return false
}

// members calls yield for each member of an object, but not for one whose name
// came before.
func (r *reader) members(path string, v gjson.Result, yield func(at, name string, value gjson.Result)) {
	seen := map[string]bool{}
	v.ForEach(func(key, value gjson.Result) bool {
		at := member(path, key.Str)
		if seen[key.Str] {
			r.fail(at, value.Index, "is there twice")
			return true
		}
		seen[key.Str] = true
		yield(at, key.Str, value)
		return true
	})
}

// elements calls yield for each element of an array.
func (r *reader) elements(path string, v gjson.Result, yield func(at string, value gjson.Result)) {
	i := 0
	v.ForEach(func(_, value gjson.Result) bool {
		yield(element(path, i), value)
		i++
		return true
	})
}

// stepSize is how many elements of an array are one step: see [ParseInSteps].
const stepSize = 16

func (r *reader) array(path string, v gjson.Result, into reflect.Value, l limits) {
	if !v.IsArray() {
		r.wrongType(path, "an array", v)
		return
	}
	n := 0
	v.ForEach(func(_, _ gjson.Result) bool { n++; return true })
	if n > 0 {
		into.Set(reflect.MakeSlice(into.Type(), n, n))
	}
	i := 0
	r.elements(path, v, func(at string, value gjson.Result) {
		r.decode(at, value, into.Index(i), limits{required: true})
		if i++; i%stepSize == 0 {
			r.step()
		}
	})
	if l.filled() && n == 0 {
		r.fail(path, v.Index, "must not be empty")
	}
}

func (r *reader) str(path string, v gjson.Result, l limits) (string, bool) {
	switch {
	case v.Type != gjson.String:
		r.wrongType(path, "a string", v)
		return "", false
	case v.Str == "" && l.filled():
		r.fail(path, v.Index, "must not be empty")
		return "", false
	}
	if l.enum != "" {
		var allowed []string
		for word := range strings.SplitSeq(l.enum, "|") {
			if word == v.Str {
				return v.Str, true
			}
			allowed = append(allowed, strconv.Quote(word))
		}
		r.fail(path, v.Index, "must be "+list(allowed)+", got "+quote(v.Str))
		return "", false
	}
	return v.Str, true
}

func (r *reader) integer(path string, v gjson.Result, into *int, l limits) {
	if v.Type != gjson.Number {
		r.wrongType(path, "a whole number", v)
		return
	}
	n, err := strconv.Atoi(v.Raw)
	if err != nil && !isRange(err) {
		r.fail(path, v.Index, "must be a whole number, got "+clip(v.Raw))
		return
	}
	least, errLeast := strconv.Atoi(l.min)
	most, errMost := strconv.Atoi(l.max)
	if err != nil || errLeast == nil && n < least || errMost == nil && n > most {
		r.fail(path, v.Index, outside(l, clip(v.Raw)))
		return
	}
	*into = n
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

func (r *reader) duration(path string, v gjson.Result, into *Duration, l limits) {
	if v.Type != gjson.String {
		r.wrongType(path, `a duration such as "90s"`, v)
		return
	}
	d, err := time.ParseDuration(v.Str)
	if err != nil {
		r.fail(path, v.Index, `must be a duration such as "90s", got `+quote(v.Str))
		return
	}
	least, errLeast := time.ParseDuration(l.min)
	most, errMost := time.ParseDuration(l.max)
	if errLeast == nil && d < least || errMost == nil && d > most {
		r.fail(path, v.Index, outside(l, quote(v.Str)))
		return
	}
	*into = Duration(d)
}

func outside(l limits, got string) string {
	if l.max == "" {
		return "must be at least " + l.min + ", got " + got
	}
	return "must be from " + l.min + " to " + l.max + ", got " + got
}

func (r *reader) claimName(path string, v gjson.Result, into *ClaimName) {
	switch {
	case v.Type == gjson.String:
		into.Name, _ = r.str(path, v, limits{required: true})
	case v.IsArray():
		*into = ClaimName{Path: r.strings(path, v, limits{required: true})}
	default:
		r.wrongType(path, "a claim's name or an array of strings", v)
	}
}

// strings reads an array of strings, none of them empty.
func (r *reader) strings(path string, v gjson.Result, l limits) []string {
	var values []string
	r.array(path, v, reflect.ValueOf(&values).Elem(), l)
	return values
}

func (r *reader) anyOrAll(path string, v gjson.Result, into *AnyOrAll) {
	const wanted = `an array of strings or {"all": [...]}`
	switch {
	case v.IsArray():
		*into = AnyOrAll{Values: r.strings(path, v, limits{})}
	case v.IsObject():
		known := false
		r.members(path, v, func(at, name string, value gjson.Result) {
			if name != "all" {
				r.fail(at, value.Index, "unknown field: must be "+wanted)
				return
			}
			known = true
			*into = AnyOrAll{Values: r.strings(at, value, limits{required: true}), All: true}
		})
		if !known {
			r.fail(member(path, "all"), v.Index, "is required")
		}
	default:
		r.wrongType(path, wanted, v)
	}
}

func (r *reader) organization(path string, v gjson.Result, into *Organization) {
	switch {
	case v.Type == gjson.String:
		into.Literal, _ = r.str(path, v, limits{required: true})
	case v.IsObject():
		r.object(path, v, reflect.ValueOf(into).Elem())
		if into.IsZero() && !r.partlyUnread(path) {
			r.fail(path, v.Index, oneSource)
		}
	default:
		r.wrongType(path, "a string or an object with one of fromHost, fromPath and fromRouteMetadata", v)
	}
}

func (r *reader) secret(path string, v gjson.Result, into *Secret) {
	switch {
	case v.Type == gjson.String:
		into.Value, _ = r.str(path, v, limits{required: true})
	case v.IsObject():
		r.object(path, v, reflect.ValueOf(into).Elem())
	default:
		r.wrongType(path, "a string or an object with fromEnvironment", v)
	}
}

func (r *reader) stringMap(path string, v gjson.Result, into *map[string]string, l limits) {
	if !v.IsObject() {
		r.wrongType(path, "an object", v)
		return
	}
	values := map[string]string{}
	r.members(path, v, func(at, name string, value gjson.Result) {
		if name == "" {
			r.fail(at, value.Index, "the name must not be empty")
		}
		values[name], _ = r.str(at, value, limits{required: true})
	})
	if len(values) == 0 && l.filled() {
		r.fail(path, v.Index, "must not be empty")
		return
	}
	*into = values
}

func (r *reader) wrongType(path, wanted string, v gjson.Result) {
	r.fail(path, v.Index, "must be "+wanted+", got "+kind(v))
}

func kind(v gjson.Result) string {
	switch {
	case v.Type == gjson.Null:
		return "null"
	case v.Type == gjson.String:
		return "a string"
	case v.Type == gjson.Number:
		return "a number"
	case v.IsBool():
		return v.Raw
	case v.IsArray():
		return "an array"
	default:
		return "an object"
	}
}

// clip shortens a number for an error.
func clip(raw string) string {
	const longest = 30
	if len(raw) <= longest {
		return raw
	}
	return raw[:longest] + "…"
}

// isResource recognizes a Kubernetes resource by its envelope.
func isResource(v gjson.Result) bool {
	var envelope, spec bool
	v.ForEach(func(key, _ gjson.Result) bool {
		envelope = envelope || key.Str == "apiVersion" || key.Str == "kind"
		spec = spec || key.Str == "spec"
		return true
	})
	return envelope && spec
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("json") == name && name != "-" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// unknownField is the error for a member that no field takes, with the name
// that was meant if one is near.
func unknownField(path, name string, t reflect.Type) string {
	if message, ok := elsewhere[withoutIndexes(path)]; ok {
		return message
	}
	best, nearest := "", 1+min(2, len(name)/3)
	for i := range t.NumField() {
		known := t.Field(i).Tag.Get("json")
		if known == "-" {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(known)); d < nearest {
			best, nearest = known, d
		}
	}
	if best == "" {
		return "unknown field"
	}
	return "unknown field; did you mean " + strconv.Quote(best) + "?"
}

// distance counts the bytes to insert, remove, replace or swap with their
// neighbour to make b of a (the optimal string alignment distance).
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
