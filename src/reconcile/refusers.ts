import type { State } from './state.js'

/** The backends that proxies refuse, each with the names of those proxies. */
export function refusers({ proxies }: State): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const { name, refused } of proxies) {
    for (const { backend } of refused) found.set(backend, [...(found.get(backend) ?? []), name])
  }
  return found
}
