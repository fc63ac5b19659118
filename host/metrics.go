package host

import (
	"sync"
	"sync/atomic"
)

// The types of metrics of the ABI.
const (
	counterMetric = iota
	gaugeMetric
	histogramMetric
)

// Metrics holds the values of metrics. VMs that are given the same Metrics
// count together, as Envoy's workers do. It may be used by several goroutines.
type Metrics struct {
	mu     sync.Mutex
	byName [3]map[string]*metric
}

type metric struct{ value atomic.Uint64 }

// NewMetrics returns an empty one.
func NewMetrics() *Metrics {
	m := &Metrics{}
	for i := range m.byName {
		m.byName[i] = make(map[string]*metric)
	}
	return m
}

// Values are the counters and gauges by name.
func (m *Metrics) Values() map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	values := make(map[string]uint64)
	for _, byName := range m.byName[:histogramMetric] {
		for name, metric := range byName {
			values[name] = metric.value.Load()
		}
	}
	return values
}

// Gauges are the names of those values that are no counters.
func (m *Metrics) Gauges() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	gauges := make(map[string]bool)
	for name := range m.byName[gaugeMetric] {
		gauges[name] = true
	}
	return gauges
}

func (m *Metrics) define(kind uint32, name string) *metric {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := m.byName[kind][name]
	if found == nil {
		found = &metric{}
		m.byName[kind][name] = found
	}
	return found
}

// Metric ids are as Envoy makes them: the type in the two lowest bits, counted
// from 4 on. Defining a metric twice gives two ids of the same metric.

func (vm *VM) defineMetric(kind uint32, name string) (id uint32, status Status) {
	if kind > histogramMetric {
		return 0, BadArgument
	}
	vm.metrics[kind] = append(vm.metrics[kind], vm.config.Metrics.define(kind, name))
	return uint32(len(vm.metrics[kind]))<<2 | kind, OK
}

func (vm *VM) metric(id uint32) (kind uint32, m *metric) {
	kind = id & 3
	index := id >> 2
	if kind > histogramMetric || index == 0 || uint64(index) > uint64(len(vm.metrics[kind])) {
		return kind, nil
	}
	return kind, vm.metrics[kind][index-1]
}

func (vm *VM) incrementMetric(id uint32, offset int64) Status {
	kind, m := vm.metric(id)
	switch {
	case kind > gaugeMetric:
		return BadArgument
	case m == nil:
		return NotFound
	case kind == counterMetric && offset <= 0:
		return BadArgument
	}
	m.value.Add(uint64(offset))
	return OK
}

func (vm *VM) recordMetric(id uint32, value uint64) Status {
	kind, m := vm.metric(id)
	switch {
	case m == nil:
		return NotFound
	case kind == counterMetric:
		m.value.Add(value)
	case kind == gaugeMetric:
		m.value.Store(value)
	} // Nobody reads a histogram here.
	return OK
}

func (vm *VM) getMetric(id uint32) (uint64, Status) {
	kind, m := vm.metric(id)
	switch {
	case kind > gaugeMetric:
		return 0, BadArgument
	case m == nil:
		return 0, NotFound
	}
	return m.value.Load(), OK
}
