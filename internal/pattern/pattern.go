// Package pattern matches texts as a whole with regular expressions of a small
// part of RE2's syntax (https://github.com/google/re2/wiki/Syntax).
//
// Package regexp would make the plugin too large, by 0.5 MB. This part suffices for
// the form of tokens:
//
//	x  \.  \x2e          a character, in ASCII
//	.                    any character
//	[a-z0-9_] [^.]       a class, with ranges, \d and the like; not [:alpha:]
//	\d \w \s \D \W \S    digits, word characters, space, and all but those
//	xy  x|y  (x)  (?:x)  one after the other, either, and a group
//	x* x+ x?             any number, at least one, at most one
//	x{n} x{n,} x{n,m}    so many
//	^ $                  at the beginning and the end, without effect
//
// The rest of RE2 is an error. An expression is a set of positions, one for each of
// its characters. A match reads the text once, and keeps the set of its possible
// positions. Its cost grows with the text's length, and at most with the number of
// positions, which [MaxPositions] bounds. It makes no garbage.
package pattern

import (
	"errors"
	"math/bits"
)

const (
	// MaxPositions is the most characters that an expression may have, counted
	// as often as it repeats them.
	MaxPositions = 64 * words
	// MaxText is the longest expression.
	MaxText = 1024

	words    = 4
	maxDepth = 32
)

// Pattern is an expression. It matches octets; those beyond ASCII it never does.
type Pattern struct {
	classes []class // of each position
	first   set     // the positions that a text may begin at
	last    set     // and end at
	follow  []set   // what may come behind each
	empty   bool    // the empty text matches
	least   int     // the fewest characters of a text
	words   int     // of a set that have positions
}

// set is a set of positions.
type set [words]uint64

func (s *set) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s *set) union(other *set) {
	for w := range s {
		s[w] |= other[w]
	}
}

// class is a set of characters in ASCII.
type class [2]uint64

func (c *class) add(first, last byte) {
	for b := int(first); b <= int(last); b++ {
		c[b/64] |= 1 << (b % 64)
	}
}

func (c *class) has(b byte) bool { return b < 0x80 && c[b/64]>>(b%64)&1 != 0 }

func (c class) not() class { return class{^c[0], ^c[1]} }

// Match reports whether the whole text matches.
func (p *Pattern) Match(text string) bool {
	if len(text) < p.least {
		return false
	}
	if text == "" {
		return p.empty
	}
	var at set
	reachable := p.first
	for i := range len(text) {
		at = set{}
		for w := range p.words {
			for rest := reachable[w]; rest != 0; rest &= rest - 1 {
				if n := bits.TrailingZeros64(rest); p.classes[w*64+n].has(text[i]) {
					at[w] |= 1 << n
				}
			}
		}
		if at == (set{}) {
			return false
		}
		reachable = set{}
		for w := range p.words {
			for rest := at[w]; rest != 0; rest &= rest - 1 {
				follow := &p.follow[w*64+bits.TrailingZeros64(rest)]
				for v := range p.words {
					reachable[v] |= follow[v]
				}
			}
		}
	}
	for w := range at {
		if at[w]&p.last[w] != 0 {
			return true
		}
	}
	return false
}

// Why an expression is none.
var (
	errLong       = errors.New("too long")
	errPositions  = errors.New("too many characters once its repetitions are written out")
	errDepth      = errors.New("nested too deep")
	errEnd        = errors.New("ends too early")
	errGroup      = errors.New("unbalanced parentheses")
	errFlags      = errors.New("of groups, (x) and (?:x) are supported")
	errRepeat     = errors.New("nothing to repeat")
	errRepetition = errors.New("invalid repetition")
	errTwice      = errors.New("a repetition is repeated: possessive and lazy ones are not supported")
	errEscape     = errors.New("unsupported escape")
	errClass      = errors.New("invalid class")
	errASCII      = errors.New("characters beyond ASCII are not supported")
	errAnchor     = errors.New("^ and $ are supported at the beginning and the end alone")
	errBraces     = errors.New("a brace must be escaped")
)

// Parse reads an expression. The error says what is wrong with it.
func Parse(text string) (*Pattern, error) {
	if len(text) > MaxText {
		return nil, errLong
	}
	r := reader{text: text}
	if r.next() == '^' {
		r.at++
	}
	e, err := r.alternatives(0)
	switch {
	case err != nil:
		return nil, err
	case r.at < len(text):
		return nil, errGroup // a ")" that closes nothing
	}
	// ^ and $ belong to one alternative, not to all.
	if r.alternated && (text[0] == '^' || r.anchored) {
		return nil, errAnchor
	}
	p := &r.pattern
	p.first, p.last, p.empty, p.least = e.first, e.last, e.empty, e.least
	p.words = (len(p.classes) + 63) / 64
	return p, nil
}

// part is a part of an expression: where a text that it matches begins and ends.
type part struct {
	first, last set
	empty       bool
	least       int
}

// reader reads an expression, by Glushkov's construction.
type reader struct {
	text       string
	at         int
	pattern    Pattern
	alternated bool // there is a "|" outside of all groups
	anchored   bool // there is a "$" at the end
	atoms      int  // read, those that are read again included
}

// next is the next character, 0 at the end.
func (r *reader) next() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

func (r *reader) alternatives(depth int) (part, error) {
	if depth > maxDepth {
		return part{}, errDepth
	}
	all, err := r.sequence(depth)
	for err == nil && r.next() == '|' {
		r.at++
		r.alternated = r.alternated || depth == 0
		var other part
		other, err = r.sequence(depth)
		all.first.union(&other.first)
		all.last.union(&other.last)
		all.empty = all.empty || other.empty
		all.least = min(all.least, other.least)
	}
	return all, err
}

func (r *reader) sequence(depth int) (part, error) {
	all := part{empty: true}
	for {
		c := r.next()
		if c == 0 && r.at == len(r.text) || c == '|' || c == ')' {
			return all, nil
		}
		if c == '$' && depth == 0 && r.at == len(r.text)-1 {
			r.at++
			r.anchored = true
			return all, nil
		}
		next, err := r.repeated(depth)
		if err != nil {
			return part{}, err
		}
		all = r.concatenate(all, next)
	}
}

// concatenate has one part follow the other.
func (r *reader) concatenate(a, b part) part {
	r.link(&a.last, &b.first)
	all := part{first: a.first, last: b.last, empty: a.empty && b.empty, least: a.least + b.least}
	if a.empty {
		all.first.union(&b.first)
	}
	if b.empty {
		all.last.union(&a.last)
	}
	return all
}

// link has each of some positions follow each of others.
func (r *reader) link(last, first *set) {
	for w, rest := range last {
		for ; rest != 0; rest &= rest - 1 {
			r.pattern.follow[w*64+bits.TrailingZeros64(rest)].union(first)
		}
	}
}

// repeated reads an atom, and how often it may stand there.
func (r *reader) repeated(depth int) (part, error) {
	begin := r.at
	one, err := r.atom(depth)
	if err != nil {
		return part{}, err
	}
	end := r.at
	least, most, ok, err := r.repetition()
	if err != nil || !ok {
		return one, err
	}
	if c := r.next(); c == '*' || c == '+' || c == '?' || c == '{' {
		return part{}, errTwice
	}
	after := r.at
	all := part{empty: true}
	if least == 0 && most == 0 {
		return all, nil // The positions stay, and nothing leads to them.
	}
	// Each time is read anew: it has positions of its own.
	for n := 0; n < max(least, most, 1); n++ {
		if n > 0 {
			r.at = begin
			if one, err = r.atom(depth); err != nil {
				return part{}, err
			}
			if r.at != end {
				return part{}, errRepetition
			}
		}
		if n >= least {
			one.empty, one.least = true, 0
		}
		if most == unbounded && n == max(least, most, 1)-1 {
			r.link(&one.last, &one.first)
		}
		all = r.concatenate(all, one)
	}
	r.at = after
	return all, nil
}

const unbounded = -1

// repetition reads "*", "+", "?" or "{n,m}", if there is one.
func (r *reader) repetition() (least, most int, ok bool, err error) {
	c := r.next()
	switch c {
	case '*', '+', '?':
		r.at++
	}
	switch c {
	case '*':
		return 0, unbounded, true, nil
	case '+':
		return 1, unbounded, true, nil
	case '?':
		return 0, 1, true, nil
	case '{':
	default:
		return 0, 0, false, nil
	}
	r.at++
	least, ok = r.number()
	most = least
	if ok && r.next() == ',' {
		r.at++
		most = unbounded
		if r.next() != '}' {
			most, ok = r.number()
			ok = ok && most >= least
		}
	}
	if !ok || r.next() != '}' {
		return 0, 0, false, errRepetition
	}
	r.at++
	return least, most, true, nil
}

// number reads a number up to [MaxPositions].
func (r *reader) number() (n int, ok bool) {
	begin := r.at
	for c := r.next(); '0' <= c && c <= '9' && n <= MaxPositions; c = r.next() {
		n = n*10 + int(c-'0')
		r.at++
	}
	return n, r.at > begin && n <= MaxPositions
}

// atom reads a character, a class or a group.
func (r *reader) atom(depth int) (part, error) {
	c := r.next()
	r.atoms++
	switch {
	case r.atoms > MaxText+MaxPositions*maxDepth: // a group may have no position
		return part{}, errPositions
	case c >= 0x80:
		return part{}, errASCII
	case c == '(':
		return r.group(depth)
	case c == '*' || c == '+' || c == '?':
		return part{}, errRepeat
	case c == '{' || c == '}':
		return part{}, errBraces
	case c == '^' || c == '$':
		return part{}, errAnchor
	}
	r.at++
	set, err := class{}, error(nil)
	switch c {
	case '.':
		set = class{}.not()
		set[0] &^= 1 << '\n'
	case '[':
		set, err = r.class()
	case '\\':
		set, err = r.escape()
	default:
		set.add(c, c)
	}
	if err != nil {
		return part{}, err
	}
	return r.position(set)
}

// position adds a position of a class.
func (r *reader) position(c class) (part, error) {
	n := len(r.pattern.classes)
	if n == MaxPositions {
		return part{}, errPositions
	}
	r.pattern.classes = append(r.pattern.classes, c)
	r.pattern.follow = append(r.pattern.follow, set{})
	p := part{least: 1}
	p.first.add(n)
	p.last.add(n)
	return p, nil
}

func (r *reader) group(depth int) (part, error) {
	r.at++
	if r.next() == '?' {
		if r.at+1 >= len(r.text) || r.text[r.at+1] != ':' {
			return part{}, errFlags
		}
		r.at += 2
	}
	inside, err := r.alternatives(depth + 1)
	if err != nil {
		return part{}, err
	}
	if r.next() != ')' {
		return part{}, errGroup
	}
	r.at++
	return inside, nil
}

// escape reads what follows a backslash.
func (r *reader) escape() (c class, err error) {
	b := r.next()
	r.at++
	switch {
	case b == 0:
		return c, errEnd
	case b == 'd' || b == 'D':
		c.add('0', '9')
	case b == 'w' || b == 'W':
		c.add('0', '9')
		c.add('A', 'Z')
		c.add('a', 'z')
		c.add('_', '_')
	case b == 's' || b == 'S':
		for _, space := range []byte("\t\n\f\r ") {
			c.add(space, space)
		}
	case b == 'x':
		high, low := hexDigit(r.next()), -1
		if r.at+1 < len(r.text) {
			low = hexDigit(r.text[r.at+1])
		}
		if high < 0 || high > 7 || low < 0 {
			return c, errEscape
		}
		r.at += 2
		c.add(byte(high<<4|low), byte(high<<4|low))
	case '0' <= b && b <= '9', 'a' <= b|0x20 && b|0x20 <= 'z', b >= 0x80, b < ' ', b == 0x7f:
		return c, errEscape
	default:
		c.add(b, b)
	}
	if b == 'D' || b == 'W' || b == 'S' {
		c = c.not()
	}
	return c, nil
}

func hexDigit(b byte) int {
	switch {
	case '0' <= b && b <= '9':
		return int(b - '0')
	case 'a' <= b|0x20 && b|0x20 <= 'f':
		return int(b|0x20-'a') + 10
	}
	return -1
}

// class reads what follows a "[".
func (r *reader) class() (all class, err error) {
	negated := r.next() == '^'
	if negated {
		r.at++
	}
	for first := true; ; first = false {
		c := r.next()
		switch {
		case r.at == len(r.text):
			return all, errEnd
		case c == ']' && !first:
			r.at++
			if negated {
				all = all.not()
			}
			return all, nil
		case c == '[' && r.at+1 < len(r.text) && r.text[r.at+1] == ':':
			return all, errClass
		case c == '-' && !first && !(r.at+1 < len(r.text) && r.text[r.at+1] == ']'):
			return all, errClass // RE2 takes some of these; an escaped one is clear
		}
		low, single, err := r.classCharacter()
		if err != nil {
			return all, err
		}
		if !(r.next() == '-' && r.at+1 < len(r.text) && r.text[r.at+1] != ']') {
			all[0] |= low[0]
			all[1] |= low[1]
			continue
		}
		r.at++
		_, high, err := r.classCharacter()
		if err != nil {
			return all, err
		}
		if single < 0 || high < single {
			return all, errClass
		}
		all.add(byte(single), byte(high))
	}
}

// classCharacter reads one character of a class, or an escape that stands for
// several: single is -1 then.
func (r *reader) classCharacter() (c class, single int, err error) {
	b := r.next()
	if b >= 0x80 {
		return c, 0, errASCII
	}
	r.at++
	if b != '\\' {
		c.add(b, b)
		return c, int(b), nil
	}
	if c, err = r.escape(); err != nil {
		return c, 0, err
	}
	switch bits.OnesCount64(c[0]) + bits.OnesCount64(c[1]) {
	case 1:
		if c[0] != 0 {
			return c, bits.TrailingZeros64(c[0]), nil
		}
		return c, 64 + bits.TrailingZeros64(c[1]), nil
	}
	return c, -1, nil
}
