//go:build wasip1 && !orgate_gcstress

package wasip1

// stressCollector makes every hand-over of memory collect garbage, before and
// after. Only tests build with the tag orgate_gcstress.
const stressCollector = false
