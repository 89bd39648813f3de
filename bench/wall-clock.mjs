/**
 * Milliseconds since the epoch with a fraction, on the clock that Docker stamps its events with. `performance` counts on
 * from when the process began and may have drifted since, so it is set against the system's clock anew.
 */
export function createWallClock() {
  let offset = Number.NEGATIVE_INFINITY
  // Date.now() cuts off the fraction: the largest difference was seen just after a tick.
  const until = performance.now() + 20
  while (performance.now() < until) offset = Math.max(offset, Date.now() - performance.now())
  return () => offset + performance.now()
}
