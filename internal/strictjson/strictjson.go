// Package strictjson reads JSON documents from untrusted senders, and refuses
// those that two readers could understand differently.
//
// It accepts a subset of [RFC 8259]: valid UTF-8, no escapes of lone surrogates
// (§8.2), no two members of one object with the same name (§4), and at most
// [MaxDepth] levels of nesting (§9). Whitespace may surround the document. Anything
// else after it, a byte order mark before it (§8.1), and every extension of the
// grammar are errors.
//
// [ParseObject] is for documents whose members are then looked up, such as a
// token's header and claims. [CheckSyntax] is for callers that walk the document
// and find duplicates themselves.
//
// Time is linear in the document's length, and [MaxMembers] bounds the memory that
// ParseObject takes besides. The package knows nothing of tokens, keys or
// configuration.
//
// [RFC 8259]: https://www.rfc-editor.org/rfc/rfc8259
package strictjson

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// MaxDepth is how deep objects and arrays may be nested: the outermost counts
// as one.
const MaxDepth = 32

// MaxMembers is the most members that an object may have, for [ParseObject]. It
// is many times what tokens and keys have.
const MaxMembers = 256

// Why a document is refused, for [errors.Is]. Each is wrapped in an [*Error].
var (
	// ErrSyntax means that the document is not of the grammar of RFC 8259.
	ErrSyntax = errors.New("invalid JSON")
	// ErrUTF8 means that a string is not valid UTF-8, or holds the escape of a
	// surrogate without its other half.
	ErrUTF8 = errors.New("invalid Unicode")
	// ErrDuplicate means that two members of one object have the same name,
	// once their escapes are resolved.
	ErrDuplicate = errors.New("duplicate member")
	// ErrDepth means that objects and arrays are nested beyond [MaxDepth].
	ErrDepth = errors.New("nested too deep")
	// ErrMembers means that an object has more than [MaxMembers] members.
	ErrMembers = errors.New("too many members")
	// ErrNotObject means that the document is a JSON value other than an object.
	ErrNotObject = errors.New("not an object")
)

// An Error says why a document is refused and where, and nothing of what the
// document holds: it may be logged where the document may not.
type Error struct {
	// Kind is one of the errors of this package.
	Kind error
	// Offset is where the fault was noticed, in bytes from the beginning of
	// the document: at most its length.
	Offset int
}

// Error returns the kind and the offset.
func (e *Error) Error() string {
	return e.Kind.Error() + " at byte " + strconv.Itoa(e.Offset)
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// A Member is one name/value pair of an object.
type Member struct {
	// Name is the member's name with its escapes resolved.
	Name string
	// Value is the member's value. Raw holds it as it stands in the document,
	// so the digits of a number are there; Index is not set.
	Value gjson.Result
}

// An Object is an object's members in the order of the document. No two have
// the same name.
type Object []Member

// Get returns the value of the member with exactly this name: no character of
// name has a special meaning. A member whose value is null is found.
func (o Object) Get(name string) (gjson.Result, bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return gjson.Result{}, false
}

// ParseObject checks the whole document, duplicates and numbers of members at
// every depth included, and returns the members of the object that it is. The error is an [*Error].
//
// The members refer to doc; they keep it from being collected.
func ParseObject(doc string) (Object, error) {
	s := scanner{doc: doc, unique: true}
	start := s.space(0)
	if start == len(doc) || doc[start] != '{' {
		if err := s.document(start); err != nil {
			return nil, err
		}
		return nil, &Error{ErrNotObject, start}
	}
	// Room for all members, where there are no commas but between them.
	members := make(Object, 0, min(strings.Count(doc, ",")+1, fewNames))
	end, err := s.object(start, 0, &members)
	if err != nil {
		return nil, err
	}
	if err := s.end(end); err != nil {
		return nil, err
	}
	return members, nil
}

// CheckSyntax checks a document of any type for everything but duplicates. The
// error is an [*Error].
func CheckSyntax(doc string) error {
	s := scanner{doc: doc}
	return s.document(s.space(0))
}
