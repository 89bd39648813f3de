import { labelRulesOf } from '../config/label-rules.js'
import type { Settings } from '../config/schema.js'
import type { Clock } from '../lib/clock.js'
import type { Logger } from '../lib/logger.js'
import { printable } from '../lib/printable.js'
import { createRegistries } from '../registries/index.js'
import { createSources } from '../sources/index.js'

/**
 * `hostler sync` without `-c`: everything that the sources tell into every registry, once.
 * @returns the exit code: 1 when something could not be announced as its container asks
 * @throws HostlerError when a source or a registry cannot be reached; then nothing was taken back
 */
export async function syncOnce(
  settings: Settings,
  { log, clock, signal }: { log: Logger; clock: Clock; signal: AbortSignal },
  print: (text: string) => void,
): Promise<number> {
  const rules = labelRulesOf(settings, { wakes: [], holds: false })
  const registries = await createRegistries(settings, { rules, log, clock })
  try {
    const sources = await createSources(settings, { log })
    const lists = await Promise.all(sources.map((source) => source.list(signal)))
    const facts = { instances: lists.flat(), isWhole: true, draining: new Set<string>() }
    let troubled = false
    for (const registry of registries) {
      const { entries, written, removed, troubles } = await registry.sync(facts, signal)
      print(`${registry.name}: ${entries} announced, ${written} written, ${removed} taken back\n`)
      for (const trouble of troubles) print(`  ${printable(trouble)}\n`)
      troubled ||= troubles.length > 0
    }
    return troubled ? 1 : 0
  } finally {
    await Promise.all(registries.map((registry) => registry.close?.()))
  }
}
