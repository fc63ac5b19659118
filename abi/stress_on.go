//go:build wasip1 && orgate_gcstress

package wasip1

const stressCollector = true
