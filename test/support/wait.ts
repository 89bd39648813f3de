import { setTimeout as delay } from 'node:timers/promises'

/** Polls until `probe` returns something truthy, and returns it; fails with what it was waiting for. */
export async function until<T>(what: string, probe: () => T | Promise<T>, timeoutMs = 30_000): Promise<Truthy<T>> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  while (performance.now() < deadline) {
    try {
      const value = await probe()
      if (value) return value as Truthy<T>
    } catch (error) {
      last = error
    }
    await delay(20)
  }
  throw new Error(`gave up waiting until ${what}`, { cause: last })
}

type Truthy<T> = Exclude<T, false | null | undefined | 0 | ''>
