package modexp_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"

	"orgate/internal/modexp"
)

// check holds a power to math/big's.
func check(t *testing.T, n, x *big.Int, e uint) {
	t.Helper()
	size := (n.BitLen() + 7) / 8
	want := new(big.Int).Exp(x, new(big.Int).SetUint64(uint64(e)), n).FillBytes(make([]byte, size))
	got, ok := modexp.New(n).Exp(x.FillBytes(make([]byte, max(size, len(x.Bytes())))), e)
	if small := x.Cmp(n) < 0; ok != small || ok && !bytes.Equal(got, want) {
		t.Errorf("%x^%d modulo %x = %x, %v, want %x, %v", x, e, n, got, ok, want, small)
	}
}

// TestExp takes moduli of every length in bits about those of keys, with limbs that
// are all ones or nearly none, where sums are largest and carries longest.
func TestExp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	number := func(bits int) *big.Int {
		n := new(big.Int)
		for i := range bits {
			n.SetBit(n, i, uint(random.IntN(2)))
		}
		return n.SetBit(n, bits-1, 1)
	}
	one := big.NewInt(1)
	var sizes []int
	for _, middle := range []int{30, 84, 168, 2048, 2352, 3072, 4096, 4704, 8192} {
		for bits := middle - 3; bits <= middle+3; bits++ {
			sizes = append(sizes, bits)
		}
	}
	for _, bits := range sizes {
		high := new(big.Int).Lsh(one, uint(bits))
		for _, n := range []*big.Int{
			new(big.Int).Sub(high, one),                      // all ones
			new(big.Int).Add(new(big.Int).Rsh(high, 1), one), // two of them
			number(bits).SetBit(number(bits), 0, 1),
		} {
			n.SetBit(n, 0, 1)
			below := new(big.Int).Sub(n, one)
			for _, x := range []*big.Int{new(big.Int), one, below, new(big.Int).Rsh(n, 1), n, number(bits - 1)} {
				for _, e := range []uint{1, 2, 3, 6, 17, 65537, 1<<31 - 1} {
					if e < 1<<20 || bits < 3000 {
						check(t, n, x, e)
					}
				}
			}
		}
	}
	if _, ok := modexp.New(big.NewInt(15)).Exp([]byte{2}, 0); ok {
		t.Error("2^0 was computed: 0 is no exponent of RSA")
	}
}

// FuzzExp holds powers to math/big's.
func FuzzExp(f *testing.F) {
	f.Add([]byte{15}, []byte{2}, uint(3))
	f.Add(bytes.Repeat([]byte{0xff}, 256), bytes.Repeat([]byte{0xfe}, 256), uint(65537))
	f.Add(append([]byte{0x80}, bytes.Repeat([]byte{0}, 1023)...), bytes.Repeat([]byte{0x7f}, 1024), uint(3))
	f.Fuzz(func(t *testing.T, modulus, base []byte, e uint) {
		n, x := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(base)
		n.SetBit(n, 0, 1)
		if e %= 1 << 31; n.BitLen() < 2 || n.BitLen() > 8192 || x.BitLen() > 8200 || e == 0 {
			return
		}
		check(t, n, x, e)
	})
}

func BenchmarkExp(b *testing.B) {
	for _, bits := range []uint{2048, 4096} {
		b.Run(strconv.Itoa(int(bits)), func(b *testing.B) {
			n := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(5))
			m, x := modexp.New(n), new(big.Int).Rsh(n, 1).FillBytes(make([]byte, bits/8))
			for b.Loop() {
				if _, ok := m.Exp(x, 65537); !ok {
					b.Fatal("no power")
				}
			}
		})
	}
}
