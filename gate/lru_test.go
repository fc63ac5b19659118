package gate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

func (c *lru[V]) keys() []string {
	var keys []string
	for e := c.root.next; e != &c.root; e = e.next {
		keys = append(keys, e.key)
	}
	return keys
}

func TestLRUKeepsTheMostRecentlyUsed(t *testing.T) {
	c := newLRU[int](3, 1000)
	for i, key := range []string{"a", "b", "c"} {
		c.put(key, i, 10)
	}
	c.get("a")
	c.put("d", 3, 10)
	if got, want := c.keys(), []string{"d", "a", "c"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	key := c.root.prev.key
	c.put(strings.Clone("c"), 9, 10) // in the memory of a request, perhaps
	if v, ok := c.get("c"); !ok || v != 9 || unsafe.StringData(c.root.next.key) != unsafe.StringData(key) {
		t.Errorf(`c is %d, %v, want 9 under the key that was there`, v, ok)
	}
}

func TestLRUKeepsWithinItsBytes(t *testing.T) {
	c := newLRU[int](100, 100)
	c.put("a", 0, 49)
	c.put("b", 0, 49)
	c.put("c", 0, 9)
	if got, want := c.keys(), []string{"c", "b"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	c.put("d", 0, 100)
	if got, want := c.keys(), []string{"c", "b"}; !slices.Equal(got, want) {
		t.Errorf("keys %q after one too large, want %q", got, want)
	}
	c.put("b", 0, 100)
	if got, want := c.keys(), []string{"c"}; !slices.Equal(got, want) {
		t.Errorf("keys %q after one became too large, want %q", got, want)
	}
}

func TestLRUOfNothing(t *testing.T) {
	for _, c := range []*lru[int]{newLRU[int](0, 100), newLRU[int](100, 0)} {
		c.put("a", 1, 1)
		if _, ok := c.get("a"); ok {
			t.Error("a value was kept where there is no room")
		}
	}
}

// TestLRUAgainstAList compares the cache with a list of keys that is searched
// from end to end.
func TestLRUAgainstAList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := newLRU[int](8, 60)
	type entry struct {
		key         string
		value, size int
	}
	var list []entry // the most recently used one first
	for step := range 20_000 {
		key := strconv.Itoa(random.IntN(20))
		at := slices.IndexFunc(list, func(e entry) bool { return e.key == key })
		switch random.IntN(2) {
		case 0:
			value, ok := c.get(key)
			if ok != (at >= 0) || ok && value != list[at].value {
				t.Fatalf("step %d: get %s: %d, %v; the list has it at %d", step, key, value, ok, at)
			}
			if ok {
				e := list[at]
				list = slices.Insert(slices.Delete(list, at, at+1), 0, e)
			}
		case 1:
			size := random.IntN(30)
			c.put(key, step, size)
			if at >= 0 {
				list = slices.Delete(list, at, at+1)
			}
			list = slices.Insert(list, 0, entry{key, step, size + len(key)})
			total := func() (n int) {
				for _, e := range list {
					n += e.size
				}
				return n
			}
			for len(list) > 8 || total() > 60 {
				list = list[:len(list)-1]
			}
		}
		var want []string
		for _, e := range list {
			want = append(want, e.key)
		}
		if got := c.keys(); fmt.Sprint(got) != fmt.Sprint(want) || len(c.entries) != len(want) {
			t.Fatalf("step %d: keys %q, want %q", step, got, want)
		}
	}
}
