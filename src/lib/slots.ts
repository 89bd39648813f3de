/** Lets so many do something at once; the others wait their turn, first come, first served. */
export interface Slots {
  /** @throws what `work` throws, or when the signal fires before its turn has come */
  take<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>
}

export function createSlots(count: number): Slots {
  const queue = new Set<() => void>()
  let free = count

  const turn = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        queue.delete(go)
        reject(signal.reason)
      }
      queue.add(go)
      signal.addEventListener('abort', leave, { once: true })
    })

  function pass(): void {
    const [next] = queue
    if (next === undefined) free++
    else {
      queue.delete(next)
      next()
    }
  }

  return {
    async take(work, signal) {
      signal.throwIfAborted()
      if (free > 0) free--
      else await turn(signal)
      try {
        return await work()
      } finally {
        pass()
      }
    },
  }
}
