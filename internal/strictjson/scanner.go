package strictjson

import (
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// A scanner goes through a document once. Its methods take the offset at which
// something begins and return the offset after its end.
type scanner struct {
	doc string
	// unique asks for a search for duplicates.
	unique bool
	// names is a stack: the names seen so far of every object that has begun
	// and not ended. Those of members that are collected are not on it.
	names []name
}

// A name is a member's name without escapes, and where it stands.
type name struct {
	text   string
	offset int
}

// document scans the value at i and whatever follows it.
func (s *scanner) document(i int) error {
	i, err := s.value(i, 0)
	if err != nil {
		return err
	}
	return s.end(i)
}

// end refuses anything but whitespace from i on.
func (s *scanner) end(i int) error {
	if i = s.space(i); i != len(s.doc) {
		return &Error{ErrSyntax, i}
	}
	return nil
}

// space skips whitespace (RFC 8259 §2).
func (s *scanner) space(i int) int {
	for i < len(s.doc) {
		switch s.doc[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// value scans a value inside of depth objects and arrays.
func (s *scanner) value(i, depth int) (int, error) {
	if i >= len(s.doc) {
		return 0, &Error{ErrSyntax, i}
	}
	switch s.doc[i] {
	case '"':
		end, _, err := s.str(i)
		return end, err
	case '{':
		return s.object(i, depth, nil)
	case '[':
		return s.array(i, depth)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	default:
		return s.number(i)
	}
}

// object scans an object and, where members is not nil, appends its members.
func (s *scanner) object(i, depth int, members *Object) (int, error) {
	if depth >= MaxDepth {
		return 0, &Error{ErrDepth, i}
	}
	begin, base, count := i, len(s.names), 0
	i = s.space(i + 1)
	if s.at(i, '}') {
		return i + 1, nil
	}
	for {
		if !s.at(i, '"') {
			return 0, &Error{ErrSyntax, i}
		}
		if count++; s.unique && count > MaxMembers {
			return 0, &Error{ErrMembers, i}
		}
		start := i
		end, escaped, err := s.str(start)
		if err != nil {
			return 0, err
		}
		text := s.doc[start+1 : end-1]
		if s.unique && escaped {
			text = gjson.Parse(s.doc[start:end]).Str
		}
		if s.unique && members == nil {
			if s.names == nil {
				s.names = make([]name, 0, fewNames)
			}
			s.names = append(s.names, name{text, start})
		}
		i = s.space(end)
		if !s.at(i, ':') {
			return 0, &Error{ErrSyntax, i}
		}
		start = s.space(i + 1)
		end, err = s.value(start, depth+1)
		if err != nil {
			return 0, err
		}
		if members != nil {
			*members = append(*members, Member{text, result(s.doc[start:end])})
		}
		i = s.space(end)
		if s.at(i, '}') {
			break
		}
		if !s.at(i, ',') {
			return 0, &Error{ErrSyntax, i}
		}
		i = s.space(i + 1)
	}
	if members != nil && !distinct(*members) {
		return s.object(begin, depth, nil) // which finds out where
	}
	if offset, ok := duplicate(s.names[base:]); ok {
		return 0, &Error{ErrDuplicate, offset}
	}
	s.names = s.names[:base]
	return i + 1, nil
}

// result is a value that was scanned, as gjson has it. Most are strings without
// escapes, and numbers that are dates; gjson need not go through those again.
func result(raw string) gjson.Result {
	switch {
	case raw[0] == '{' || raw[0] == '[':
		return gjson.Result{Type: gjson.JSON, Raw: raw}
	case raw[0] == '"' && strings.IndexByte(raw, '\\') < 0:
		return gjson.Result{Type: gjson.String, Raw: raw, Str: raw[1 : len(raw)-1]}
	case isCount(raw):
		count := 0
		for i := range len(raw) {
			count = count*10 + int(raw[i]-'0')
		}
		return gjson.Result{Type: gjson.Number, Raw: raw, Num: float64(count)}
	default:
		return gjson.Parse(raw)
	}
}

// isCount reports whether a value is digits alone, such as a date, and so few
// that a float64 is exact.
func isCount(raw string) bool {
	const exact = 15
	for i := range len(raw) {
		if raw[i] < '0' || raw[i] > '9' {
			return false
		}
	}
	return len(raw) <= exact
}

// array scans an array.
func (s *scanner) array(i, depth int) (int, error) {
	if depth >= MaxDepth {
		return 0, &Error{ErrDepth, i}
	}
	i = s.space(i + 1)
	if s.at(i, ']') {
		return i + 1, nil
	}
	for {
		end, err := s.value(i, depth+1)
		if err != nil {
			return 0, err
		}
		i = s.space(end)
		if s.at(i, ']') {
			return i + 1, nil
		}
		if !s.at(i, ',') {
			return 0, &Error{ErrSyntax, i}
		}
		i = s.space(i + 1)
	}
}

// str scans the string whose opening quote is at i, and reports whether it
// holds an escape (RFC 8259 §7).
func (s *scanner) str(i int) (end int, escaped bool, err error) {
	for i++; i < len(s.doc); {
		switch c := s.doc[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			if i, err = s.escape(i); err != nil {
				return 0, false, err
			}
		case c < ' ':
			return 0, false, &Error{ErrSyntax, i}
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRuneInString(s.doc[i:])
			if r == utf8.RuneError && size == 1 {
				return 0, false, &Error{ErrUTF8, i}
			}
			i += size
		}
	}
	return 0, false, &Error{ErrSyntax, i}
}

// escape scans the escape whose backslash is at i; the two halves of a
// surrogate pair are one (RFC 8259 §7, §8.2).
func (s *scanner) escape(i int) (int, error) {
	if i+1 >= len(s.doc) {
		return 0, &Error{ErrSyntax, i + 1}
	}
	switch s.doc[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
	default:
		return 0, &Error{ErrSyntax, i + 1}
	}
	unit, ok := s.hex4(i + 2)
	switch {
	case !ok:
		return 0, &Error{ErrSyntax, i + 2}
	case unit < 0xD800 || unit > 0xDFFF:
		return i + 6, nil
	case unit <= 0xDBFF && s.at(i+6, '\\') && s.at(i+7, 'u'):
		if low, ok := s.hex4(i + 8); ok && 0xDC00 <= low && low <= 0xDFFF {
			return i + 12, nil
		}
	}
	return 0, &Error{ErrUTF8, i}
}

// hex4 reads four hexadecimal digits.
func (s *scanner) hex4(i int) (n uint32, ok bool) {
	if i+4 > len(s.doc) {
		return 0, false
	}
	for _, c := range []byte(s.doc[i : i+4]) {
		n <<= 4
		switch {
		case '0' <= c && c <= '9':
			n |= uint32(c - '0')
		case 'a' <= c && c <= 'f':
			n |= uint32(c-'a') + 10
		case 'A' <= c && c <= 'F':
			n |= uint32(c-'A') + 10
		default:
			return 0, false
		}
	}
	return n, true
}

// number scans a number (RFC 8259 §6).
func (s *scanner) number(i int) (int, error) {
	if s.at(i, '-') {
		i++
	}
	if s.at(i, '0') {
		i++
	} else if end := s.digits(i); end > i {
		i = end
	} else {
		return 0, &Error{ErrSyntax, i}
	}
	if s.at(i, '.') {
		end := s.digits(i + 1)
		if end == i+1 {
			return 0, &Error{ErrSyntax, end}
		}
		i = end
	}
	if s.at(i, 'e') || s.at(i, 'E') {
		i++
		if s.at(i, '+') || s.at(i, '-') {
			i++
		}
		end := s.digits(i)
		if end == i {
			return 0, &Error{ErrSyntax, end}
		}
		i = end
	}
	return i, nil
}

// digits skips decimal digits.
func (s *scanner) digits(i int) int {
	for i < len(s.doc) && '0' <= s.doc[i] && s.doc[i] <= '9' {
		i++
	}
	return i
}

// literal scans exactly text.
func (s *scanner) literal(i int, text string) (int, error) {
	if !strings.HasPrefix(s.doc[i:], text) {
		return 0, &Error{ErrSyntax, i}
	}
	return i + len(text), nil
}

// at reports whether c is at i.
func (s *scanner) at(i int, c byte) bool { return i < len(s.doc) && s.doc[i] == c }

// fewNames is how many names are quicker compared each with each than put in a
// map.
const fewNames = 16

// distinct reports whether all names are known to differ: of few members alone.
func distinct(members Object) bool {
	if len(members) > fewNames {
		return false
	}
	for i := range members {
		for j := range i {
			if members[i].Name == members[j].Name {
				return false
			}
		}
	}
	return true
}

// duplicate returns the offset of the first name that stands a second time.
func duplicate(names []name) (offset int, found bool) {
	if len(names) <= fewNames {
		for i := range names {
			for j := range i {
				if names[i].text == names[j].text {
					return names[i].offset, true
				}
			}
		}
		return 0, false
	}
	seen := make(map[string]struct{}, len(names))
	for _, n := range names {
		if _, again := seen[n.text]; again {
			return n.offset, true
		}
		seen[n.text] = struct{}{}
	}
	return 0, false
}
