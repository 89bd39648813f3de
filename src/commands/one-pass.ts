import { labelRulesOf } from '../config/label-rules.js'
import type { Settings } from '../config/schema.js'
import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import type { Plan } from '../model/plan.js'
import { createPlanner } from '../model/planner.js'
import { createProxies } from '../proxies/index.js'
import type { Proxy } from '../proxies/proxy.js'
import { runtimeNames } from '../runtimes/index.js'
import { createSources } from '../sources/index.js'

/** What the commands that look once and exit work with. */
export interface OnePass {
  readonly plan: Plan
  readonly proxies: readonly Proxy[]
}

/** Reads every source once. @throws HostlerError when one cannot be read */
export async function onePass(
  settings: Settings,
  { log, clock, signal }: { log: Logger; clock: Clock; signal: AbortSignal },
): Promise<OnePass> {
  const sources = await createSources(settings, { log })
  const lists = await Promise.all(sources.map((source) => source.list(signal)))
  const proxies = await createProxies(settings, { log, clock, duty: 'publish' })
  return {
    plan: createPlanner(labelRulesOf(settings, { wakes: runtimeNames(settings), holds: true }))(lists.flat()),
    proxies,
  }
}
