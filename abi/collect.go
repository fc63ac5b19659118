//go:build wasip1

package wasip1

import (
	"math"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// leastGarbage is how many bytes the heap grows at least from one
	// collection to the next.
	leastGarbage = 6 << 20
	// measureEvery is how many bytes may have been allocated, by an estimate,
	// before the heap is measured, which takes a tenth of a request's time.
	// The estimate is what the proxy hands over, and perCallback for each
	// callback of a stream. It is low: a token can make garbage of thirty times
	// its size. After another callback, which may have allocated anything, the
	// heap is measured at once.
	measureEvery = 64 << 10
	perCallback  = 256
	// pageSize is the size of a page of the heap.
	pageSize = 8 << 10
)

// collector decides when garbage is collected.
var collector struct {
	// running counts the callbacks that have not returned. A proxy may call
	// one while another one's host call is under way.
	running int
	// estimate is what may have been allocated since the heap was measured.
	estimate uint64
	// kept is the size of the heap after the last collection.
	kept uint64
}

// init keeps the runtime from collecting on its own account, whatever GOGC and
// GOMEMLIMIT ask for. The limits go up in two steps, and a collection that runs
// already ends between them, so that the scavenger's goal is out of reach then;
// [fill] keeps it there.
func init() {
	debug.SetMemoryLimit(1 << 50)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(math.MaxInt64)
}

// enter begins a callback that is estimated to allocate so many bytes.
func enter(estimate uint64) {
	collector.running++
	collector.estimate += estimate
}

// Collect collects garbage if there may be [leastGarbage] of it. The end of every
// callback does much the same, so that only a long one has to: each time when much
// of what it made is garbage. If nothing is due that takes two microseconds. Within
// a callback that the proxy called during a host call, nothing is done.
func Collect() { collectBeyond(leastGarbage) }

// collectBeyond collects garbage if the heap has grown by so many bytes since it
// was collected last.
func collectBeyond(garbage uint64) {
	if collector.running != 1 {
		return
	}
	collector.estimate = 0
	if stressCollector || measure().inUse >= collector.kept+garbage {
		CollectNow()
	}
}

// CollectNow collects garbage, due or not. It is for a callback that lets go of
// much before it takes as much again. It ends each configuration besides: the
// proxy's engine has compiled the collector then, before the first request.
func CollectNow() {
	if collector.running != 1 {
		return
	}
	collect()
	collector.kept = measure().inUse
}

// collect collects garbage and returns free pages, now.
func collect() {
	fill()
	debug.FreeOSMemory()
}

// fill allocates pages until those that are free are few. At the end of its mark
// phase the runtime compares the memory that it retains with what is in use: if
// it were more than a tenth more, the scavenger would go to work, and sleep,
// which takes a timer. RATIONALE.md tells the whole of it. The pages that are
// allocated here are garbage already; there are that many free ones, so that no
// memory is taken for them.
func fill() {
	for {
		heap := measure()
		if heap.free <= heap.inUse/16 {
			break
		}
		for range (heap.free-heap.inUse/16)/pageSize + 1 {
			ballast = make([]byte, pageSize)
		}
	}
	ballast = nil
}

// ballast makes the compiler allocate what [fill] asks for.
var ballast []byte

// heapSize is the size of the heap in bytes: of pages with objects, and of free
// pages that were not returned.
type heapSize struct{ inUse, free uint64 }

var heapSamples = []metrics.Sample{
	{Name: "/memory/classes/heap/objects:bytes"},
	{Name: "/memory/classes/heap/unused:bytes"},
	{Name: "/memory/classes/heap/free:bytes"},
}

func measure() heapSize {
	metrics.Read(heapSamples)
	bytes := func(i int) uint64 { return heapSamples[i].Value.Uint64() }
	return heapSize{inUse: bytes(0) + bytes(1), free: bytes(2)}
}
