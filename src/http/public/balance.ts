import type { Backend, Server } from '../../model/plan.js'

/**
 * Chooses a server of a backend for each request: in turns, by weight, spread evenly (the smooth weighted round robin
 * that nginx uses). What it remembers is forgotten with the servers' list.
 */
export function createBalancer(): (backend: Backend, avoid?: Server) => Server | undefined {
  const credits = new WeakMap<readonly Server[], Map<Server, number>>()
  return ({ servers }, avoid) => {
    const candidates = candidatesOf(servers, avoid)
    if (candidates.length < 2) return candidates[0]
    const balance = credits.get(servers) ?? new Map<Server, number>()
    credits.set(servers, balance)
    let total = 0
    let best: Server | undefined
    for (const server of candidates) {
      total += weightOf(server)
      const credit = (balance.get(server) ?? 0) + weightOf(server)
      balance.set(server, credit)
      if (best === undefined || credit > (balance.get(best) ?? 0)) best = server
    }
    if (best) balance.set(best, (balance.get(best) ?? 0) - total)
    return best
  }
}

/** Spares and servers of weight 0 get traffic only when there is nobody else. */
function candidatesOf(servers: readonly Server[], avoid: Server | undefined): readonly Server[] {
  const others = servers.filter((server) => server !== avoid)
  const able = (others.length > 0 ? others : servers).filter((server) => weightOf(server) > 0)
  const regular = able.filter(({ options }) => !options.includes('backup'))
  return [regular, able, servers].find((list) => list.length > 0) ?? []
}

const weightOf = ({ weight, options }: Server): number =>
  weight ?? Number(options.find((option) => option.startsWith('weight '))?.slice('weight '.length) ?? 1)
