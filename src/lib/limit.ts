/** Lets at most `width` pieces of work run at once; the rest wait in order. */
export function createLimit(width: number) {
  let running = 0
  const waiting: (() => void)[] = []

  return async function limited<T>(work: () => Promise<T>): Promise<T> {
    if (running >= width) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
