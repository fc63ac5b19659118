package ec

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// verdict is this package's, held against that of crypto/ed25519: they are the same,
// unless the key is encoded in a way of its own.
func verdict(t *testing.T, key, message, signature []byte) bool {
	t.Helper()
	standard := ed25519.Verify(key, message, signature)
	k, err := NewEd25519(key)
	if err != nil {
		if k != nil || err != ErrPoint {
			t.Errorf("key %x: %v", key, err)
		}
		if standard && isCanonical(key) {
			t.Errorf("key %x is refused", key)
		}
		return false
	}
	if !isCanonical(key) {
		t.Errorf("key %x is taken", key)
	}
	got := k.Verify(message, signature)
	if got != standard {
		t.Errorf("key %x, message %x, signature %x: %v, and %v by crypto/ed25519", key, message, signature, got,
			standard)
	}
	return got
}

// isCanonical reports whether the encoding of a point is that of RFC 8032 §5.1.2.
func isCanonical(encoded []byte) bool {
	b := reversed(encoded)
	sign := b[0] >> 7
	b[0] &= 0x7f
	y := new(big.Int).SetBytes(b)
	p := textbookEdwards.p
	isZero := y.Cmp(integer(1)) == 0 || y.Cmp(difference(p, integer(1))) == 0 // x is
	return y.Cmp(p) < 0 && !(isZero && sign == 1)
}

func TestEd25519Wycheproof(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PublicKey struct{ PK string }
			Tests     []vector
		}
	}
	read(t, "ed25519_test.json", &file)
	n := 0
	for _, group := range file.TestGroups {
		for _, test := range group.Tests {
			n++
			if got := verdict(t, unhex(t, group.PublicKey.PK), unhex(t, test.Msg),
				unhex(t, test.Sig)); got != test.valid() {
				t.Errorf("%d, %s %v: %v, want %s", test.ID, test.Comment, test.Flags, got, test.Result)
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d vectors", n)
	}
}

// TestEd25519Examples are those of RFC 8032 §7.1 and of RFC 8037, A.4.
func TestEd25519Examples(t *testing.T) {
	jws := strings.Split("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"+
		".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", ".")
	for _, test := range []struct {
		name                    string
		key, message, signature []byte
	}{
		{"RFC 8032, test 1",
			unhex(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
			nil,
			unhex(t, "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"+
				"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")},
		{"RFC 8032, test 2",
			unhex(t, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
			unhex(t, "72"),
			unhex(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"+
				"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")},
		{"RFC 8032, test 3",
			unhex(t, "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
			unhex(t, "af82"),
			unhex(t, "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"+
				"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")},
		{"RFC 8032, test SHA(abc)",
			unhex(t, "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"),
			func() []byte { d := sha512.Sum512([]byte("abc")); return d[:] }(),
			unhex(t, "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"+
				"09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704")},
		{"RFC 8037, A.4",
			unbase64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
			[]byte(jws[0] + "." + jws[1]),
			unbase64(t, jws[2])},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !verdict(t, test.key, test.message, test.signature) {
				t.Error("refused")
			}
			if verdict(t, test.key, append(test.message, ' '), test.signature) {
				t.Error("taken for another message")
			}
			k, err := NewEd25519(test.key)
			if err != nil {
				t.Fatal(err)
			}
			if !k.Verify(test.message, test.signature) {
				t.Error("refused the second time, with a prepared key")
			}
			if k.HasSmallOrder() {
				t.Error("a key of small order")
			}
			for i := range test.signature {
				test.signature[i] ^= 1 << (i % 8)
				if k.Verify(test.message, test.signature) {
					t.Errorf("taken with bit %d of byte %d changed", i%8, i)
				}
				test.signature[i] ^= 1 << (i % 8)
			}
			for _, length := range []int{0, 1, 32, 63} {
				if k.Verify(test.message, test.signature[:length]) {
					t.Errorf("taken with %d bytes", length)
				}
			}
			if k.Verify(test.message, append(slices.Clone(test.signature), 0)) {
				t.Error("taken with 65 bytes")
			}
		})
	}
}

// TestEd25519Speccheck are the signatures that implementations disagree on, of
// https://github.com/novifinancial/ed25519-speccheck (Chalkias, Garillot, Nikolaenko:
// Taming the many EdDSAs, 2020; Apache License 2.0).
func TestEd25519Speccheck(t *testing.T) {
	data, err := os.ReadFile("testdata/speccheck.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Message, PublicKey, Signature string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	want := []bool{
		true,  // S = 0, small order of A and R
		true,  // small order of A
		true,  // small order of R
		true,  // A and R of mixed order
		false, // good with the cofactor only
		false, // good with the cofactor only, and if 8k is not reduced
		false, // S above L
		false, // S far above L
		false, // R of small order, not canonical, reduced for the hash
		false, // R of small order, not canonical
		false, // A of small order, not canonical, reduced for the hash
		false, // A of small order, not canonical: crypto/ed25519 takes it
	}
	if len(vectors) != len(want) {
		t.Fatalf("%d vectors", len(vectors))
	}
	for i, v := range vectors {
		if got := verdict(t, unhex(t, v.PublicKey), unhex(t, v.Message), unhex(t, v.Signature)); got != want[i] {
			t.Errorf("vector %d: %v", i, got)
		}
	}
}

// encodings are all encodings of points of small order, those that no encoder makes
// included, and some of no point at all.
func encodings() (all [][]byte) {
	book := textbookEdwards
	add := func(y *big.Int) {
		if y.BitLen() > 255 {
			return
		}
		for _, sign := range []byte{0, 0x80} {
			encoded := book.bytes(y)
			encoded[0] |= sign
			all = append(all, reversed(encoded))
		}
	}
	for _, p := range torsion()[:5] { // the others differ in the sign of x
		add(p.y)
		add(sum(p.y, book.p))
	}
	for _, y := range []*big.Int{
		integer(2), integer(18), difference(power(255), integer(1)), difference(book.p, integer(2)),
	} {
		add(y)
	}
	return all
}

// TestEd25519SmallOrder has all of those as A and as R, with S = 0 and others.
func TestEd25519SmallOrder(t *testing.T) {
	taken := 0
	l := textbookEdwards.n
	scalars := []*big.Int{integer(1), l, sum(l, l)}
	for _, a := range encodings() {
		for _, r := range encodings() {
			for message := byte(0); message < 4; message++ {
				if verdict(t, a, []byte{message}, append(slices.Clone(r), make([]byte, 32)...)) {
					taken++
				}
			}
			for _, s := range scalars {
				verdict(t, a, nil, append(slices.Clone(r), reversed(s.FillBytes(make([]byte, 32)))...))
			}
		}
	}
	if taken < 25 {
		t.Errorf("only %d signatures with points of small order are taken", taken)
	}
}

// TestEd25519MixedOrder adds points of small order to R and to A, of signatures that are good
// otherwise. With the cofactor all would be good.
func TestEd25519MixedOrder(t *testing.T) {
	book := textbookEdwards
	random := rand.New(rand.NewPCG(13, 14))
	secret := below(random, book.n)
	plain := book.multiple(secret)
	taken := 0
	for i, more := range torsion() {
		key := book.encode(book.add(plain, more))
		for j, other := range torsion() {
			for message := byte(0); message < 4; message++ {
				nonce := below(random, book.n)
				r := book.encode(book.add(book.multiple(nonce), other))
				got := verdict(t, key, []byte{message}, sign(secret, nonce, key, r, []byte{message}))
				if got {
					taken++
				}
				if i == 0 && got != (j == 0) {
					t.Errorf("a good key, and R with %d times a point of order 8: %v", j, got)
				}
			}
		}
	}
	if taken < 8 || taken > 8*8*2 {
		t.Errorf("%d signatures are taken", taken)
	}
}

// sign is R and S for encodings of A and R as they are.
func sign(secret, nonce *big.Int, key, r, message []byte) []byte {
	digest := sha512.Sum512(slices.Concat(r, key, message))
	k := new(big.Int).SetBytes(reversed(digest[:]))
	s := sum(nonce, k.Mul(k, secret))
	return append(slices.Clone(r), reversed(textbookEdwards.bytes(s.Mod(s, textbookEdwards.n)))...)
}

func TestEd25519Scalars(t *testing.T) {
	seed := bytes.Repeat([]byte{7}, 32)
	private := ed25519.NewKeyFromSeed(seed)
	key, message := private.Public().(ed25519.PublicKey), []byte("text")
	signature := ed25519.Sign(private, message)
	s := new(big.Int).SetBytes(reversed(signature[32:]))
	for n := s; n.BitLen() <= 256; n = sum(n, textbookEdwards.n) {
		got := verdict(t, key, message, append(slices.Clone(signature[:32]),
			reversed(n.FillBytes(make([]byte, 32)))...))
		if want := n == s; got != want {
			t.Errorf("S = %#x: %v", n, got)
		}
	}
}

func TestEd25519Keys(t *testing.T) {
	for _, length := range []int{0, 1, 31, 33, 64} {
		if k, err := NewEd25519(make([]byte, length)); err != ErrPoint || k != nil {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	refused := 0
	for y := range int64(200) { // half of them are of no point
		key := reversed(textbookEdwards.bytes(integer(y)))
		_, err := NewEd25519(key)
		signature := make([]byte, 64)
		verdict(t, key, nil, signature)
		if (err == nil) != onEdwards(integer(y)) {
			t.Errorf("y = %d: %v", y, err)
		}
		if err != nil {
			refused++
		}
	}
	if refused < 60 || refused > 140 {
		t.Errorf("%d of 200 are refused", refused)
	}
}

// onEdwards reports whether there is a point with the given y.
func onEdwards(y *big.Int) bool {
	book := textbookEdwards
	yy := book.mul(y, y)
	x2 := book.div(difference(yy, integer(1)), sum(book.mul(book.d, yy), integer(1)))
	return big.Jacobi(x2, book.p) >= 0
}

// TestEd25519Encoding decodes points and encodes them again, with a z of their own.
func TestEd25519Encoding(t *testing.T) {
	book, c := textbookEdwards, edwards25519.group
	random := rand.New(rand.NewPCG(15, 16))
	s := specimens()[2]
	points := torsion()
	for range 50 {
		points = append(points, book.multiple(below(random, book.n)))
	}
	for _, want := range points {
		encoded := book.encode(want)
		x, y, ok := c.decode(encoded)
		if !ok {
			t.Errorf("%x is refused", encoded)
			continue
		}
		p := c.point(x, y)
		if got := s.pair(t, &p); !same(got, want) {
			t.Errorf("%x is decoded as %v, want %v", encoded, got, want)
		}
		q := s.point(want, sum(below(random, difference(book.p, integer(1))), integer(1)))
		if got := c.encode(&q); !bytes.Equal(got, encoded) {
			t.Errorf("%v is encoded as %x, want %x", want, got, encoded)
		}
	}
}
