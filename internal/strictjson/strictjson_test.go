package strictjson_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"orgate/internal/strictjson"
)

// nested returns n levels of open and close around inner.
func nested(n int, open, inner, close string) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(close, n)
}

func TestParseObject(t *testing.T) {
	str := func(raw, s string) gjson.Result { return gjson.Result{Type: gjson.String, Raw: raw, Str: s} }
	num := func(raw string, n float64) gjson.Result {
		return gjson.Result{Type: gjson.Number, Raw: raw, Num: n}
	}
	tests := []struct {
		name string
		doc  string
		want strictjson.Object
	}{
		{"empty", `{}`, strictjson.Object{}},
		{"whitespace everywhere", " \t\r\n{ \"a\" : \"b\" ,\n\"c\"\n:\t\"d\"\r} \n", strictjson.Object{
			{Name: "a", Value: str(`"b"`, "b")},
			{Name: "c", Value: str(`"d"`, "d")},
		}},
		{"members in the order of the document", `{"z":"1","a":"2"}`, strictjson.Object{
			{Name: "z", Value: str(`"1"`, "1")},
			{Name: "a", Value: str(`"2"`, "2")},
		}},
		{"every type", `{"s":"x","n":-1.5e1,"t":true,"f":false,"0":null,"o":{"a":[]},"l":[{},[1]]}`, strictjson.Object{
			{Name: "s", Value: str(`"x"`, "x")},
			{Name: "n", Value: num(`-1.5e1`, -15)},
			{Name: "t", Value: gjson.Result{Type: gjson.True, Raw: "true"}},
			{Name: "f", Value: gjson.Result{Type: gjson.False, Raw: "false"}},
			{Name: "0", Value: gjson.Result{Type: gjson.Null, Raw: "null"}},
			{Name: "o", Value: gjson.Result{Type: gjson.JSON, Raw: `{"a":[]}`}},
			{Name: "l", Value: gjson.Result{Type: gjson.JSON, Raw: `[{},[1]]`}},
		}},
		{"a number keeps its digits", `{"n":1300819380.000000000000001}`, strictjson.Object{
			{Name: "n", Value: num("1300819380.000000000000001", 1300819380)},
		}},
		{"every escape", `{"\"\\\/\b\f\n\r\tA\u00e9":"\"\\\/\b\f\n\r\t\u0000\u20AC\ud83d\ude00"}`, strictjson.Object{
			{
				Name: "\"\\/\b\f\n\r\tAé", Value: str(`"\"\\\/\b\f\n\r\t\u0000\u20AC\ud83d\ude00"`,
					"\"\\/\b\f\n\r\t\x00€😀")},
		}},
		{"the replacement character itself", "{\"a\":\"\uFFFD\\ufffd\"}", strictjson.Object{
			{Name: "a", Value: str("\"\uFFFD\\ufffd\"", "\uFFFD\uFFFD")},
		}},
		{"names that differ in case", `{"alg":"a","Alg":"b"}`, strictjson.Object{
			{Name: "alg", Value: str(`"a"`, "a")},
			{Name: "Alg", Value: str(`"b"`, "b")},
		}},
		{"the same name in different objects", `{"a":{"a":{"a":1}}}`, strictjson.Object{
			{Name: "a", Value: gjson.Result{Type: gjson.JSON, Raw: `{"a":{"a":1}}`}},
		}},
		{"an empty name", `{"":"x"}`, strictjson.Object{{Name: "", Value: str(`"x"`, "x")}}},
		{"as deep as may be", nested(32, `{"a":`, "0", "}"), strictjson.Object{
			{Name: "a", Value: gjson.Result{Type: gjson.JSON, Raw: nested(31, `{"a":`, "0", "}")}},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := strictjson.ParseObject(test.doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

// refused are documents that are refused, most of them by CheckSyntax too.
var refused = []struct {
	name   string
	doc    string
	kind   error
	offset int
}{
	{"empty", ``, strictjson.ErrSyntax, 0},
	{"whitespace alone", " \n", strictjson.ErrSyntax, 2},
	{"byte order mark", "\uFEFF{}", strictjson.ErrSyntax, 0},
	{"no-break space", "\u00a0{}", strictjson.ErrSyntax, 0},
	{"form feed", "\f{}", strictjson.ErrSyntax, 0},
	{"comment", `{/**/}`, strictjson.ErrSyntax, 1},
	{"trailing value", `{} {}`, strictjson.ErrSyntax, 3},
	{"trailing NUL", "{}\x00", strictjson.ErrSyntax, 2},
	{"not closed", `{`, strictjson.ErrSyntax, 1},
	{"not closed after a name", `{"a"`, strictjson.ErrSyntax, 4},
	{"not closed after a colon", `{"a":`, strictjson.ErrSyntax, 5},
	{"not closed after a value", `{"a":1`, strictjson.ErrSyntax, 6},
	{"not closed after a comma", `{"a":1,`, strictjson.ErrSyntax, 7},
	{"closed with a bracket", `{"a":1]`, strictjson.ErrSyntax, 6},
	{"trailing comma", `{"a":1,}`, strictjson.ErrSyntax, 7},
	{"leading comma", `{,"a":1}`, strictjson.ErrSyntax, 1},
	{"no comma", `{"a":1 "b":2}`, strictjson.ErrSyntax, 7},
	{"no colon", `{"a" 1}`, strictjson.ErrSyntax, 5},
	{"no value", `{"a":}`, strictjson.ErrSyntax, 5},
	{"name without quotes", `{a:1}`, strictjson.ErrSyntax, 1},
	{"name in single quotes", `{'a':1}`, strictjson.ErrSyntax, 1},
	{"name that is a number", `{1:1}`, strictjson.ErrSyntax, 1},
	{"array not closed", `{"a":[`, strictjson.ErrSyntax, 6},
	{"array not closed after a value", `{"a":[1`, strictjson.ErrSyntax, 7},
	{"array closed with a brace", `{"a":[1}`, strictjson.ErrSyntax, 7},
	{"array with a trailing comma", `{"a":[1,]}`, strictjson.ErrSyntax, 8},
	{"string not closed", `{"a":"b`, strictjson.ErrSyntax, 7},
	{"string with a control character", "{\"a\":\"\x1f\"}", strictjson.ErrSyntax, 6},
	{"string with a line break", "{\"a\":\"\n\"}", strictjson.ErrSyntax, 6},
	{"backslash at the end", `{"a":"\`, strictjson.ErrSyntax, 7},
	{"unknown escape", `{"a":"\x41"}`, strictjson.ErrSyntax, 7},
	{"escape in capitals", `{"a":"\U0041"}`, strictjson.ErrSyntax, 7},
	{"short escape", `{"a":"\u004"}`, strictjson.ErrSyntax, 8},
	{"escape cut off", `{"a":"\u00`, strictjson.ErrSyntax, 8},
	{"leading zero", `{"a":01}`, strictjson.ErrSyntax, 6},
	{"leading plus", `{"a":+1}`, strictjson.ErrSyntax, 5},
	{"leading point", `{"a":.5}`, strictjson.ErrSyntax, 5},
	{"trailing point", `{"a":5.}`, strictjson.ErrSyntax, 7},
	{"minus alone", `{"a":-}`, strictjson.ErrSyntax, 6},
	{"exponent without digits", `{"a":1e}`, strictjson.ErrSyntax, 7},
	{"exponent with a sign alone", `{"a":1E+}`, strictjson.ErrSyntax, 8},
	{"hexadecimal", `{"a":0x1}`, strictjson.ErrSyntax, 6},
	{"not a number", `{"a":NaN}`, strictjson.ErrSyntax, 5},
	{"infinity", `{"a":Infinity}`, strictjson.ErrSyntax, 5},
	{"literal in capitals", `{"a":TRUE}`, strictjson.ErrSyntax, 5},
	{"literal cut off", `{"a":nul`, strictjson.ErrSyntax, 5},
	{"literal that goes on", `{"a":nulls}`, strictjson.ErrSyntax, 9},

	{"lone continuation byte", "{\"a\":\"\x80\"}", strictjson.ErrUTF8, 6},
	{"character cut off", "{\"a\":\"\xe2\x82\"}", strictjson.ErrUTF8, 6},
	{"overlong form", "{\"a\":\"\xc0\xaf\"}", strictjson.ErrUTF8, 6},
	{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", strictjson.ErrUTF8, 6},
	{"beyond the last character", "{\"a\":\"\xf4\x90\x80\x80\"}", strictjson.ErrUTF8, 6},
	{"invalid UTF-8 in a name", "{\"\xff\":1}", strictjson.ErrUTF8, 2},
	{"invalid UTF-8 below", "{\"a\":[{\"b\":\"\xff\"}]}", strictjson.ErrUTF8, 12},
	{"high surrogate alone", `{"a":"\ud83d"}`, strictjson.ErrUTF8, 6},
	{"high surrogate before a character", `{"a":"\ud83dx"}`, strictjson.ErrUTF8, 6},
	{"high surrogate before another", `{"a":"\ud83d\ud83d\ude00"}`, strictjson.ErrUTF8, 6},
	{"high surrogate before another escape", `{"a":"\ud83d\n"}`, strictjson.ErrUTF8, 6},
	{"low surrogate alone", `{"a":"\ude00"}`, strictjson.ErrUTF8, 6},
	{"surrogates the wrong way round", `{"a":"\ude00\ud83d"}`, strictjson.ErrUTF8, 6},
	{"surrogate in a name", `{"\ud800":1}`, strictjson.ErrUTF8, 2},

	{"objects too deep", nested(33, `{"a":`, "0", "}"), strictjson.ErrDepth, 32 * 5},
	{"arrays too deep", `{"a":` + nested(32, "[", "", "]") + `}`, strictjson.ErrDepth, 5 + 31},
	{"far too deep", strings.Repeat(`{"a":`, 100_000), strictjson.ErrDepth, 32 * 5},
}

func TestRefused(t *testing.T) {
	for _, test := range refused {
		t.Run(test.name, func(t *testing.T) {
			want := &strictjson.Error{Kind: test.kind, Offset: test.offset}
			object, err := strictjson.ParseObject(test.doc)
			checkError(t, "ParseObject", err, want)
			if object != nil {
				t.Error("members besides the error")
			}
			checkError(t, "CheckSyntax", strictjson.CheckSyntax(test.doc), want)
		})
	}
}

func checkError(t *testing.T, what string, err error, want *strictjson.Error) {
	t.Helper()
	var got *strictjson.Error
	if !errors.As(err, &got) || !errors.Is(err, want.Kind) || *got != *want {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func TestDuplicates(t *testing.T) {
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `"name%d":%d,`, i, i)
	}
	tests := []struct {
		name   string
		doc    string
		offset int
	}{
		{"two members", `{"a":1,"a":2}`, 7},
		{"with the same value", `{"a":1,"a":1}`, 7},
		{"with an empty name", `{"":1,"":2}`, 6},
		{"by an escape", `{"a":1,"\u0061":2}`, 7},
		{"by escapes written differently", `{"\u00E9":1,"\u00e9":2}`, 12},
		{"by a pair of surrogates", `{"😀":1,"\ud83d\ude00":2}`, 10},
		{"by an escaped solidus", `{"a/b":1,"a\/b":2}`, 9},
		{"below", `{"x":{"a":1,"a":2}}`, 12},
		{"below an array", `{"x":[[{"a":1,"a":2}]]}`, 14},
		{"at the end, of the first", `{"a":1,` + many.String() + `"a":2}`, 7 + many.Len()},
		{"among many, of neighbours", `{` + many.String() + `"a":1,"a":2}`, 1 + many.Len() + 6},
		{"the first of several", `{"b":1,` + many.String() + `"b":2,"name0":1}`, 7 + many.Len()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := strictjson.ParseObject(test.doc)
			checkError(t, "ParseObject", err, &strictjson.Error{Kind: strictjson.ErrDuplicate, Offset: test.offset})
			if err := strictjson.CheckSyntax(test.doc); err != nil {
				t.Errorf("CheckSyntax: got error %v, want none", err)
			}
		})
	}
}

func TestNotAnObject(t *testing.T) {
	for _, doc := range []string{`null`, `true`, `"{}"`, `0`, `[]`, ` [{}]`, nested(32, "[", "", "]")} {
		_, err := strictjson.ParseObject(doc)
		checkError(t, doc, err, &strictjson.Error{Kind: strictjson.ErrNotObject,
			Offset: strings.IndexFunc(doc, func(r rune) bool { return r != ' ' })})
		if err := strictjson.CheckSyntax(doc); err != nil {
			t.Errorf("CheckSyntax(%s): got error %v, want none", doc, err)
		}
	}
	_, err := strictjson.ParseObject(`[1,]`)
	checkError(t, "a broken array", err, &strictjson.Error{Kind: strictjson.ErrSyntax, Offset: 3})
	_, err = strictjson.ParseObject(`[{"a":1,"a":2}]`)
	checkError(t, "an array with duplicates", err, &strictjson.Error{Kind: strictjson.ErrDuplicate, Offset: 8})
}

func TestGet(t *testing.T) {
	object, err := strictjson.ParseObject(`{"a":{"b":1},"a.b":2,"*":3,"n":null,"":4}`)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		raw   string
		found bool
	}{
		{"a.b", "2", true},
		{"*", "3", true},
		{"n", "null", true},
		{"", "4", true},
		{"a", `{"b":1}`, true},
		{"?", "", false},
		{"b", "", false},
		{"A", "", false},
	}
	for _, test := range tests {
		value, found := object.Get(test.name)
		if value.Raw != test.raw || found != test.found {
			t.Errorf("Get(%q): got %q, %t, want %q, %t", test.name, value.Raw, found, test.raw, test.found)
		}
	}
}

// An error is logged where the document must not be.
func TestErrorTellsNothing(t *testing.T) {
	for _, doc := range []string{`{"secret":1,"secret":2}`, `{"secret"`, "{\"secret\":\"\xff\"}", `"secret"`} {
		_, err := strictjson.ParseObject(doc)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("got error %v", err)
		}
	}
}

// hostile documents, all of 64 KiB: the most that a token may be.
var hostile = map[string]string{
	"many short members":         repeated(`{`, `}`, func(i int) string { return fmt.Sprintf(`"%x":0`, i) }),
	"many members of one length": repeated(`{`, `}`, func(i int) string { return fmt.Sprintf(`"%05x":0`, i) }),
	"names that begin alike":     repeated(`{`, `}`, func(i int) string { return fmt.Sprintf(`"%0200x":0`, i) }),
	"many members in descending order": repeated(`{`, `}`, func(i int) string {
		return fmt.Sprintf(`"%05x":0`, 0xfffff-i)
	}),
	"many small objects": repeated(`{"a":[`, `]}`, func(int) string { return `{"a":0,"b":0}` }),
	"many objects of as many members as are compared each with each": repeated(`{"a":[`, `]}`, func(int) string {
		return `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":0,"n":0,"o":0,"p":0}`
	}),
	"many escapes":      `{"` + strings.Repeat(`\ud83d\ude00`, 64<<10/12) + `":0}`,
	"one long number":   `{"a":` + strings.Repeat("9", 64<<10) + `}`,
	"one long fraction": `{"a":0.` + strings.Repeat("9", 64<<10) + `}`,
}

func repeated(open, close string, element func(int) string) string {
	var doc strings.Builder
	doc.WriteString(open)
	for i := 0; doc.Len() < 64<<10; i++ {
		if i > 0 {
			doc.WriteByte(',')
		}
		doc.WriteString(element(i))
	}
	doc.WriteString(close)
	return doc.String()
}

// An object's members are counted, at every depth, before anything is done with
// them; those of a document for CheckSyntax are not.
func TestMaxMembers(t *testing.T) {
	object := func(members int) string {
		var doc strings.Builder
		doc.WriteString(`{"x":0`)
		for i := 1; i < members; i++ {
			fmt.Fprintf(&doc, `,"%08x":0`, i)
		}
		return doc.String() + "}"
	}
	for name, doc := range map[string]func(int) string{
		"outermost": object,
		"nested":    func(members int) string { return `{"a":[` + object(members) + `]}` },
	} {
		if _, err := strictjson.ParseObject(doc(strictjson.MaxMembers)); err != nil {
			t.Errorf("%s, as many as there may be: %v", name, err)
		}
		if _, err := strictjson.ParseObject(doc(strictjson.MaxMembers + 1)); !errors.Is(err, strictjson.ErrMembers) {
			t.Errorf("%s, one more: %v", name, err)
		}
		if err := strictjson.CheckSyntax(doc(10 * strictjson.MaxMembers)); err != nil {
			t.Errorf("%s, syntax alone: %v", name, err)
		}
	}
}

// A duplicate among many members is found where it stands.
func TestDuplicateAmongMany(t *testing.T) {
	var doc strings.Builder
	doc.WriteString(`{"a":{"first":0`)
	for i := range 100 {
		fmt.Fprintf(&doc, `,"%08x":0`, i)
	}
	offset := doc.Len() + 1
	doc.WriteString(`,"\u0066irst":0,"00000001":0}}`)
	var fault *strictjson.Error
	if _, err := strictjson.ParseObject(doc.String()); !errors.As(err, &fault) ||
		!errors.Is(err, strictjson.ErrDuplicate) || fault.Offset != offset {
		t.Errorf("got %v, want a duplicate at byte %d", err, offset)
	}
}

// An ordinary document is read with one allocation for its members and one for
// their names, however many objects it holds.
func TestAllocations(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		if _, err := strictjson.ParseObject(claims); err != nil {
			t.Error(err)
		}
	})
	if got > 2 {
		t.Errorf("ParseObject: %v allocations, want 2", got)
	}
	got = testing.AllocsPerRun(100, func() {
		if err := strictjson.CheckSyntax(claims); err != nil {
			t.Error(err)
		}
	})
	if got > 0 {
		t.Errorf("CheckSyntax: %v allocations, want none", got)
	}
}

// claims is what an identity provider puts into a token.
const claims = `{"exp":1300819380,"iat":1300815780,"jti":"7f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b","iss":"https://idp.example.com/realms/orders",` +
	`"aud":["orders","account"],"sub":"f:1b2c3d4e:alice","typ":"Bearer","azp":"orders-web","sid":"0a1b2c3d","acr":"1",` +
	`"realm_access":{"roles":["offline_access","default-roles-orders","uma_authorization"]},` +
	`"resource_access":{"account":{"roles":["manage-account","view-profile"]},"orders":{"roles":["reader"]}},` +
	`"scope":"openid profile email orders:read","email_verified":true,"organization":"org1","name":"Alice Lidell"}`

func BenchmarkParseObject(b *testing.B) {
	b.Run("ordinary claims", func(b *testing.B) { benchmark(b, claims) })
	for name, doc := range hostile {
		b.Run(name, func(b *testing.B) { benchmark(b, doc) })
	}
}

func benchmark(b *testing.B, doc string) {
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := strictjson.ParseObject(doc); err != nil {
			b.Fatal(err)
		}
	}
}
