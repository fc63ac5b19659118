package strictjson_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"orgate/internal/strictjson"
)

// FuzzParseObject holds the package against encoding/json: a document is
// refused for syntax exactly where encoding/json refuses it, for another
// reason exactly where that reason is there, and read alike else.
func FuzzParseObject(f *testing.F) {
	for _, test := range refused {
		if len(test.doc) < 1000 {
			f.Add(test.doc)
		}
	}
	f.Add(claims)
	f.Add(`{"a":1,"\u0061":2}`)
	f.Add(`{"0":0,"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":{"0":0}}`)
	f.Add(`{"a":"\\ud800","b":"\\\ud83d\ude00"}`)
	f.Add(`[{"a":[]},-0.1E-2,"x",true,false,null]`)
	f.Fuzz(func(t *testing.T, doc string) {
		reasons := examine(doc)
		err := strictjson.CheckSyntax(doc)
		checkReason(t, "CheckSyntax", err, slices.DeleteFunc(slices.Clone(reasons), func(reason error) bool {
			return reason == strictjson.ErrDuplicate || reason == strictjson.ErrMembers ||
				reason == strictjson.ErrNotObject
		}))
		object, err := strictjson.ParseObject(doc)
		checkReason(t, "ParseObject", err, reasons)
		if err == nil {
			checkMembers(t, object, doc)
		}
	})
}

func checkReason(t *testing.T, what string, err error, reasons []error) {
	t.Helper()
	if err == nil {
		if len(reasons) > 0 {
			t.Errorf("%s: accepted in spite of %v", what, reasons)
		}
		return
	}
	if !slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(err, reason) }) {
		t.Errorf("%s: got error %v, want one of %v", what, err, reasons)
	}
}

// examine returns the reasons to refuse a document, by other means than the
// package's own.
func examine(doc string) (reasons []error) {
	if !utf8.ValidString(doc) {
		reasons = append(reasons, strictjson.ErrUTF8)
	}
	if !json.Valid([]byte(doc)) {
		// What the package comes upon first may be any of these.
		return []error{strictjson.ErrSyntax, strictjson.ErrUTF8, strictjson.ErrDepth, strictjson.ErrDuplicate,
			strictjson.ErrMembers}
	}

	type level struct {
		names map[string]bool // nil in an array
		count int             // of members
		value bool            // the next token is a value
	}
	var levels []level
	deepest, most, duplicate, replaced := 0, 0, false, 0
	decoder := json.NewDecoder(strings.NewReader(doc))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			panic(err) // valid as a whole, and not token by token?
		}
		if s, ok := token.(string); ok {
			replaced += strings.Count(s, "\uFFFD")
		}
		var top *level
		if len(levels) > 0 {
			top = &levels[len(levels)-1]
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if top != nil && top.names != nil {
			if !top.value {
				name := token.(string)
				duplicate = duplicate || top.names[name]
				top.names[name] = true
				top.count++
				most = max(most, top.count)
				top.value = true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		}
		deepest = max(deepest, len(levels))
	}
	if deepest > strictjson.MaxDepth {
		reasons = append(reasons, strictjson.ErrDepth)
	}
	if duplicate {
		reasons = append(reasons, strictjson.ErrDuplicate)
	}
	if most > strictjson.MaxMembers {
		reasons = append(reasons, strictjson.ErrMembers)
	}
	// encoding/json puts replacement characters for what is not Unicode.
	if replaced > replacements(doc) {
		reasons = append(reasons, strictjson.ErrUTF8)
	}
	if !strings.HasPrefix(strings.TrimLeft(doc, " \t\r\n"), "{") {
		reasons = append(reasons, strictjson.ErrNotObject)
	}
	return reasons
}

// replacements counts the replacement characters that a document asks for.
func replacements(doc string) int {
	n := strings.Count(doc, "\uFFFD")
	for i := 0; i < len(doc); i++ {
		if doc[i] == '\\' {
			if i+6 <= len(doc) && strings.EqualFold(doc[i:i+6], `\ufffd`) {
				n++
			}
			i++
		}
	}
	return n
}

// checkMembers compares the members with what encoding/json reads.
func checkMembers(t *testing.T, object strictjson.Object, doc string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(doc))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for _, member := range object {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		if name != member.Name {
			t.Errorf("got name %q, want %q", member.Name, name)
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		value := member.Value
		if value.Raw != string(raw) {
			t.Errorf("got raw value %q, want %q", value.Raw, raw)
		}
		if got, ok := object.Get(member.Name); !ok || got.Raw != value.Raw {
			t.Errorf("Get finds %q, want %q", got.Raw, value.Raw)
		}
		var str string
		var num float64
		var want gjson.Type
		switch raw[0] {
		case '"':
			want = gjson.String
			if err := json.Unmarshal(raw, &str); err != nil {
				t.Fatal(err)
			}
		case '{', '[':
			want = gjson.JSON
		case 't':
			want = gjson.True
		case 'f':
			want = gjson.False
		case 'n':
			want = gjson.Null
		default:
			want = gjson.Number
			num, _ = strconv.ParseFloat(string(raw), 64) // out of range: infinite
		}
		if value.Type != want || value.Str != str || value.Num != num {
			t.Errorf("got %v %q %v, want %v %q %v", value.Type, value.Str, value.Num, want, str, num)
		}
	}
	if decoder.More() {
		t.Error("members are missing")
	}
}
