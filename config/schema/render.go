package schema

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"time"

	"orgate/config"
)

// Render returns a configuration as a document with everything in it: the
// defaults, the names that rules were given, the organization claims that
// claim mappings imply. [config.Parse] reads it back as the same
// configuration, unless a rule names an issuer of another environment.
func Render(c *config.Config) []byte {
	var b bytes.Buffer
	render(&b, reflect.ValueOf(c).Elem())
	return indent(b.Bytes())
}

// render writes a value.
func render(b *bytes.Buffer, v reflect.Value) {
	switch x := v.Interface().(type) {
	case config.Duration:
		text(b, time.Duration(x).String())
	case config.JSON:
		b.WriteString(string(x))
	case config.ClaimName:
		if x.Name != "" {
			text(b, x.Name)
		} else {
			render(b, reflect.ValueOf(x.Path))
		}
	case config.AnyOrAll:
		if x.All {
			b.WriteString(`{"all":`)
			defer b.WriteByte('}')
		}
		render(b, reflect.ValueOf(x.Values))
	case config.Organization:
		if x.Literal != "" {
			text(b, x.Literal)
		} else {
			object(b, v)
		}
	case config.Secret:
		if x.Value != "" {
			text(b, x.Value)
		} else {
			object(b, v)
		}
	case map[string]string:
		doc, err := marshal(x)
		if err != nil {
			panic(err) // strings are always JSON
		}
		b.Write(doc)
	default:
		renderKind(b, v)
	}
}

func renderKind(b *bytes.Buffer, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		render(b, v.Elem())
	case reflect.Struct:
		object(b, v)
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			render(b, v.Index(i))
		}
		b.WriteByte(']')
	case reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.String:
		text(b, v.String())
	default:
		panic("schema: nothing known of " + v.Type().String())
	}
}

// object writes a struct without the members whose absence means something
// that no value does.
func object(b *bytes.Buffer, v reflect.Value) {
	b.WriteByte('{')
	first := true
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("json")
		if name == "-" || v.Field(i).IsZero() && absentIfZero(f) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		text(b, name)
		b.WriteByte(':')
		render(b, v.Field(i))
	}
	b.WriteByte('}')
}

func absentIfZero(f reflect.StructField) bool {
	switch f.Type.Kind() {
	case reflect.Pointer, reflect.Map:
		return true
	case reflect.Bool, reflect.Int:
		return false
	case reflect.String:
		return f.Tag.Get("min") == "1" || f.Type == reflect.TypeFor[config.JSON]()
	case reflect.Slice, reflect.Int64: // a list, a duration
		_, ok := f.Tag.Lookup("default")
		return !ok
	}
	return slices.Contains(singleValued, f.Type)
}

// singleValued are the structs that stand for one value; none is their zero
// value.
var singleValued = []reflect.Type{
	reflect.TypeFor[config.ClaimName](), reflect.TypeFor[config.Organization](), reflect.TypeFor[config.Secret](),
}

func text(b *bytes.Buffer, s string) {
	doc, err := marshal(s)
	if err != nil {
		panic(err) // strings are always JSON
	}
	b.Write(doc)
}
