package jwks

import "time"

// clock counts the time that passes, whatever the time of day says.
type clock struct {
	last    time.Time
	elapsed time.Duration // since the first observation
}

// observe lets the clock run until now. A time of day that is set back stands
// still.
func (c *clock) observe(now time.Time) {
	if !c.last.IsZero() {
		c.elapsed += min(max(0, now.Sub(c.last)), longest)
	}
	c.last = now
}

// at is when a time of day was, or will be. It must have been observed now.
func (c *clock) at(now, t time.Time) time.Duration {
	return c.elapsed - min(max(now.Sub(t), -longest), longest)
}

// wall is the time of day of what was or will be at the given time, in
// nanoseconds since 1970.
func (c *clock) wall(now time.Time, at time.Duration) int64 {
	return now.Add(at - c.elapsed).UnixNano()
}
