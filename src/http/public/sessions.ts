import type { Backend, Server } from '../../model/plan.js'

/** Counts what is under way to each server: requests, streams and WebSockets, until they end. */
export interface Sessions {
  /** @returns what ends it */
  begin(backend: Backend, server: Server): () => void
  ofGroup(group: string): number
  /** Those to the servers that these backends name. */
  on(backends: readonly Pick<Backend, 'name' | 'servers'>[]): number
}

/** @param hold told of each that begins; what it returns is called when that ends */
export function createSessions(hold: (group: string) => () => void = () => () => undefined): Sessions {
  const byGroup = new Map<string, number>()
  const byServer = new Map<string, number>()
  return {
    ofGroup: (group) => byGroup.get(group) ?? 0,
    on: (backends) =>
      backends
        .flatMap(({ name, servers }) => servers.map((server) => byServer.get(keyOf(name, server)) ?? 0))
        .reduce((sum, count) => sum + count, 0),
    begin({ name, group }, server) {
      const key = keyOf(name, server)
      const release = hold(group)
      count(byGroup, group, 1)
      count(byServer, key, 1)
      return () => {
        count(byGroup, group, -1)
        count(byServer, key, -1)
        release()
      }
    },
  }
}

/** The instance rather than the server's name: a backend may call it otherwise when there are more. */
const keyOf = (backend: string, { instance, address, port }: Server): string =>
  `${backend}\n${instance}\n${address} ${port}`

function count(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const now = (counts.get(key) ?? 0) + by
  if (now === 0) counts.delete(key)
  else counts.set(key, now)
}
