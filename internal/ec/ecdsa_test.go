package ec

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
)

// A scheme is one of the two that this package knows of ECDSA.
type scheme struct {
	name   string
	curve  elliptic.Curve
	book   *textbook
	newKey func(x, y []byte) (*ECDSAKey, error)
	digest func(message []byte) []byte
}

var schemes = []*scheme{
	{"ES256", elliptic.P256(), textbookP256, NewP256, func(m []byte) []byte { d := sha256.Sum256(m); return d[:] }},
	{"ES384", elliptic.P384(), textbookP384, NewP384, func(m []byte) []byte { d := sha512.Sum384(m); return d[:] }},
}

// key is the key of a point that is on the curve.
func (s *scheme) key(t *testing.T, q pair) *ECDSAKey {
	t.Helper()
	k, err := s.newKey(s.book.bytes(q.x), s.book.bytes(q.y))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// standard is the verdict of crypto/ecdsa.
func (s *scheme) standard(t *testing.T, q pair, digest []byte, r, ss *big.Int) bool {
	t.Helper()
	k, err := ecdsa.ParseUncompressedPublicKey(s.curve, slices.Concat([]byte{4}, s.book.bytes(q.x), s.book.bytes(q.y)))
	if err != nil {
		t.Fatal(err)
	}
	return ecdsa.Verify(k, digest, r, ss)
}

func (s *scheme) signature(r, ss *big.Int) []byte {
	return slices.Concat(s.book.bytes(r), s.book.bytes(ss))
}

// forge makes a key, a digest and a signature that is good by construction: the key is such
// that u·G + v·Q is the given point.
func (s *scheme) forge(u, v *big.Int, sum pair) (q pair, digest []byte, r, ss *big.Int) {
	book := s.book
	inverse := new(big.Int).ModInverse(v, book.n)
	q = book.times(inverse, book.add(sum, book.negate(book.multiple(u))))
	r = new(big.Int).Mod(sum.x, book.n)
	ss = new(big.Int).Mul(r, inverse)
	ss.Mod(ss, book.n)
	e := new(big.Int).Mul(u, ss)
	return q, book.bytes(e.Mod(e, book.n)), r, ss
}

func TestECDSAWycheproof(t *testing.T) {
	for i, name := range []string{"ecdsa_secp256r1_sha256_p1363_test.json", "ecdsa_secp384r1_sha384_p1363_test.json"} {
		t.Run(schemes[i].name, func(t *testing.T) {
			s := schemes[i]
			var file struct {
				TestGroups []struct {
					PublicKey struct{ Uncompressed string }
					Tests     []vector
				}
			}
			read(t, name, &file)
			n := 0
			for _, group := range file.TestGroups {
				point := unhex(t, group.PublicKey.Uncompressed)[1:]
				k, err := s.newKey(point[:len(point)/2], point[len(point)/2:])
				if err != nil {
					t.Fatal(err)
				}
				for _, test := range group.Tests {
					n++
					if got := k.Verify(s.digest(unhex(t, test.Msg)), unhex(t, test.Sig)); got != test.valid() {
						t.Errorf("%d, %s %v: %v, want %s", test.ID, test.Comment, test.Flags, got, test.Result)
					}
				}
			}
			if n < 250 {
				t.Errorf("only %d vectors", n)
			}
		})
	}
}

// A vector is a test of Wycheproof's.
type vector struct {
	ID       int `json:"tcId"`
	Comment  string
	Flags    []string
	Msg, Sig string
	Result   string
}

// valid is the verdict. None of the vectors used here are "acceptable".
func (v *vector) valid() bool {
	switch v.Result {
	case "valid":
		return true
	case "invalid":
		return false
	}
	panic(v.Result)
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// TestECDSAExamples are those of RFC 6979, A.2.5 and A.2.6, and of RFC 7515, A.3.
func TestECDSAExamples(t *testing.T) {
	p256 := pair{
		hex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"),
		hex("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"),
	}
	p384 := pair{
		hex("EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13"),
		hex("8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720"),
	}
	jws := strings.Split("eyJhbGciOiJFUzI1NiJ9"+
		".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"+
		".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", ".")
	for _, test := range []struct {
		name          string
		scheme        *scheme
		key           pair
		message, r, s string
	}{
		{"RFC 6979, A.2.5, sample", schemes[0], p256, "sample",
			"EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
			"F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"},
		{"RFC 6979, A.2.5, test", schemes[0], p256, "test",
			"F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
			"019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"},
		{"RFC 6979, A.2.6, sample", schemes[1], p384, "sample",
			"94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
			"99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8"},
		{"RFC 6979, A.2.6, test", schemes[1], p384, "test",
			"8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB0542A7F0812998DA8F1DD3CA3CF023DB",
			"DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E06A739F040649A667BF3B828246BAA5A5"},
		{"RFC 7515, A.3", schemes[0],
			pair{
				new(big.Int).SetBytes(unbase64(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")),
				new(big.Int).SetBytes(unbase64(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")),
			},
			jws[0] + "." + jws[1],
			new(big.Int).SetBytes(unbase64(t, jws[2])[:32]).Text(16),
			new(big.Int).SetBytes(unbase64(t, jws[2])[32:]).Text(16)},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := test.scheme.key(t, test.key)
			signature := test.scheme.signature(hex(test.r), hex(test.s))
			digest := test.scheme.digest([]byte(test.message))
			if !k.Verify(digest, signature) {
				t.Error("refused")
			}
			if !k.Verify(digest, signature) {
				t.Error("refused the second time, with a prepared key")
			}
			if k.Verify(test.scheme.digest([]byte(test.message+" ")), signature) {
				t.Error("taken for another message")
			}
			for i := range signature {
				signature[i] ^= 1 << (i % 8)
				if k.Verify(digest, signature) {
					t.Errorf("taken with bit %d of byte %d changed", i%8, i)
				}
				signature[i] ^= 1 << (i % 8)
			}
		})
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b := make([]byte, len(s)/2)
	if n, ok := new(big.Int).SetString("0"+s, 16); !ok || len(s)%2 != 0 {
		t.Fatalf("not hexadecimal: %q", s)
	} else {
		n.FillBytes(b)
	}
	return b
}

func TestECDSAKeys(t *testing.T) {
	for _, s := range schemes {
		book, size := s.book, s.book.size()
		g := book.base
		x, y := book.bytes(g.x), book.bytes(g.y)
		overflow := func(n *big.Int) []byte { // the same modulo p, if there is space for it
			if n = sum(n, book.p); n.BitLen() > 8*size {
				t.Fatal("no space")
			}
			return book.bytes(n)
		}
		var small pair // a point whose x is so small that there is space
		for i, ok := int64(0), false; !ok; i++ {
			small, ok = book.at(integer(i))
		}
		for _, test := range []struct {
			name string
			x, y []byte
			want bool
		}{
			{"the base point", x, y, true},
			{"its opposite", x, book.bytes(difference(book.p, g.y)), true},
			{"the least x", book.bytes(small.x), book.bytes(small.y), true},
			{"the least x, and p more", overflow(small.x), book.bytes(small.y), false},
			{"another y", x, book.bytes(sum(g.y, integer(1))), false},
			{"x and y exchanged", y, x, false},
			{"0, 0", make([]byte, size), make([]byte, size), false},
			{"p, p", book.bytes(book.p), book.bytes(book.p), false},
			{"0, 1", make([]byte, size), book.bytes(integer(1)), false},
			{"the largest numbers", slices.Repeat([]byte{255}, size), slices.Repeat([]byte{255}, size), false},
			{"a zero before x", append([]byte{0}, x...), y, false},
			{"a zero before y", x, append([]byte{0}, y...), false},
			{"a byte less of x", x[1:], y, false},
			{"a byte less of y", x, y[:size-1], false},
			{"no x", nil, y, false},
			{"no y", x, nil, false},
			{"nothing", nil, nil, false},
		} {
			k, err := s.newKey(test.x, test.y)
			if got := err == nil; got != test.want || got != (k != nil) || !got && err != ErrPoint {
				t.Errorf("%s, %s: %v", s.name, test.name, err)
			}
		}
	}
	if _, err := NewP384(textbookP256.bytes(textbookP256.base.x), textbookP256.bytes(textbookP256.base.y)); err == nil {
		t.Error("a point of P-256 is taken for one of P-384")
	}
}

// TestECDSALimits are signatures whose r or s is at its limits, with each of the others
// made good.
func TestECDSALimits(t *testing.T) {
	for _, s := range schemes {
		t.Run(s.name, func(t *testing.T) {
			n := s.book.n
			check := func(what string, q pair, digest []byte, r, ss *big.Int, want bool) {
				t.Helper()
				if got := s.key(t, q).Verify(digest, s.signature(r, ss)); got != want {
					t.Errorf("%s: %v", what, got)
				}
				if got := s.standard(t, q, digest, r, ss); got != want {
					t.Errorf("%s: %v by crypto/ecdsa", what, got)
				}
			}
			random := rand.New(rand.NewPCG(11, 12))
			u, v := below(random, n), below(random, n)

			q, digest, r, ss := s.forge(u, v, s.book.multiple(integer(77)))
			check("a good signature", q, digest, r, ss, true)
			check("the other s", q, digest, r, difference(n, ss), true)
			check("r = 0", q, digest, integer(0), ss, false)
			check("s = 0", q, digest, r, integer(0), false)
			check("r = n", q, digest, n, ss, false)
			check("s = n", q, digest, r, n, false)
			check("r and s = 0", q, digest, integer(0), integer(0), false)
			check("r and s exchanged", q, digest, ss, r, false)
			if more := sum(ss, n); more.BitLen() <= 8*s.book.size() {
				check("s + n", q, digest, r, more, false)
			}

			// x from n on: r is x - n, which is small.
			for x := new(big.Int).Set(n); ; x.Add(x, integer(1)) {
				point, ok := s.book.at(x)
				if !ok || x.Cmp(n) == 0 { // or r would be 0
					continue
				}
				q, digest, r, ss := s.forge(u, v, point)
				check("x = r + n", q, digest, r, ss, true)
				check("r = x, which is not below n", q, digest, x, ss, false)
				break
			}
			// A small x: r + n would be below p, and is not meant.
			for x := integer(1); ; x.Add(x, integer(1)) {
				if point, ok := s.book.at(x); ok {
					q, digest, r, ss := s.forge(u, v, point)
					check("a small x", q, digest, r, ss, true)
					check("a small x, and n more", q, digest, sum(r, n), ss, false)
					break
				}
			}
			// The largest x.
			for x := difference(s.book.p, integer(1)); ; x.Sub(x, integer(1)) {
				if point, ok := s.book.at(x); ok {
					q, digest, r, ss := s.forge(u, v, point)
					check("the largest x", q, digest, r, ss, true)
					break
				}
			}
			// r = x only modulo p.
			point := s.book.multiple(integer(5))
			q, digest, _, ss = s.forge(u, v, point)
			if r := difference(s.book.p, point.x); r.Cmp(n) < 0 {
				check("r = -x", q, digest, r, ss, false)
			}

			// u = 0, by a digest that is 0 or n.
			q, digest, r, ss = s.forge(integer(0), v, s.book.multiple(integer(99)))
			check("a digest of 0", q, digest, r, ss, true)
			check("a digest of n", q, s.book.bytes(n), r, ss, true)
			check("a digest of n and 1", q, s.book.bytes(sum(n, integer(1))), r, ss, false)

			// The identity has no x: u·G + v·Q = 0 for Q = d·G and u = -v·d. It is not
			// taken with any r, of which 0 is the only one that a formula could give.
			d := integer(3)
			q = s.book.multiple(d)
			for _, r := range []*big.Int{integer(1), below(random, n), difference(n, integer(1))} {
				e := new(big.Int).Mul(r, d)
				e.Mod(e.Neg(e), n)
				check("the identity", q, s.book.bytes(e), r, below(random, n), false)
			}
			// Sums that end in a doubling.
			for _, d := range []*big.Int{integer(1), difference(n, integer(1))} {
				q := s.book.multiple(d)
				k := s.book.multiple(integer(2))
				r := new(big.Int).Mod(k.x, n)
				// s = (e + r·d)/2
				e := below(random, n)
				ss := sum(e, new(big.Int).Mul(r, d))
				ss.Mul(ss, new(big.Int).ModInverse(integer(2), n))
				ss.Mod(ss, n)
				check("a nonce of 2", q, s.book.bytes(e), r, ss, true)
			}
		})
	}
}

func TestECDSALengths(t *testing.T) {
	for _, s := range schemes {
		q, digest, r, ss := s.forge(integer(3), integer(4), s.book.multiple(integer(7)))
		k, signature := s.key(t, q), s.signature(r, ss)
		if !k.Verify(digest, signature) {
			t.Errorf("%s: refused", s.name)
		}
		for _, other := range [][]byte{nil, signature[1:], signature[:len(signature)-1], signature[:len(signature)/2],
			append([]byte{0}, signature...), append(slices.Clone(signature), 0), slices.Repeat(signature, 2),
			slices.Concat([]byte{0}, s.book.bytes(r), []byte{0}, s.book.bytes(ss))} {
			if k.Verify(digest, other) {
				t.Errorf("%s: a signature of %d bytes is taken", s.name, len(other))
			}
		}
		for _, other := range [][]byte{nil, digest[1:], digest[:len(digest)-1],
			append([]byte{0}, digest...), append(slices.Clone(digest), 0)} {
			if k.Verify(other, signature) {
				t.Errorf("%s: a digest of %d bytes is taken", s.name, len(other))
			}
		}
	}
}
