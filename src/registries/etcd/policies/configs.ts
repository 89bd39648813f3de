import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../lib/clock.js'
import { compareText } from '../../../lib/compare.js'
import { createDeferred } from '../../../lib/deferred.js'
import { codeOf, messageOf } from '../../../lib/errors.js'
import type { EtcdClient } from '../../../lib/etcd/client.js'
import { type EtcdEntry, prefixRange } from '../../../lib/etcd/keys.js'
import { mirror } from '../../../lib/etcd/mirror.js'
import { orAborted } from '../../../lib/signals.js'
import type { ConfigText, ConfigTexts } from './services.js'

/** The configurations of one policy in one place. `trouble`: why there may be others. */
export interface FoundConfigs extends ConfigTexts {
  readonly trouble?: string
}

/** `POLICY.json`, and `POLICY/NAME.json` for several. */
export function configsInFolder(folder: string, policy: string): FoundConfigs {
  if (folder === '') return { texts: [], isComplete: true }
  try {
    const single = readdirSync(folder).includes(`${policy}.json`) ? textAt('', join(folder, `${policy}.json`)) : []
    const several = namesIn(join(folder, policy)).flatMap((name) =>
      textAt(name.slice(0, -'.json'.length), join(folder, policy, name)),
    )
    return { texts: [...single, ...several], isComplete: true }
  } catch (error) {
    return { texts: [], isComplete: false, trouble: `${folder} cannot be read (${codeOf(error)})` }
  }
}

/** A file that is called like the policy is none of ours. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
      .sort()
  } catch (error) {
    if (['ENOTDIR', 'ENOENT'].includes(codeOf(error) ?? '')) return []
    throw error
  }
}

function textAt(service: string, path: string): ConfigText[] {
  try {
    return [{ service, origin: path, text: readFileSync(path, 'utf8') }]
  } catch (error) {
    // It has gone since it was listed; its event leads here again.
    if (codeOf(error) === 'ENOENT') return []
    return [{ service, origin: path, error: `it cannot be read (${codeOf(error)})` }]
  }
}

/** The configurations of one policy below a path in etcd. */
export interface EtcdConfigs {
  /** Waits for the first answer of etcd, good or bad. @throws when the signal fires */
  read(signal: AbortSignal): Promise<FoundConfigs>
  /** Keeps up with them until aborted; without it every `read` asks etcd. */
  follow(changed: () => void, signal: AbortSignal): Promise<void>
}

/** `PATH/NAME` for every service, and `PATH` itself for a single one. */
export function configsInEtcd(path: string, client: EtcdClient, clock: Clock): EtcdConfigs {
  const range = prefixRange(path)
  let known: Map<string, string> | undefined
  let failure: string | undefined
  let isFollowed = false
  const heard = createDeferred()
  const serviceOf = (key: string) => key.slice(path.length + 1)
  const isOurs = ({ key }: { readonly key: string }) => key === path || key.startsWith(`${path}/`)

  function all(entries: readonly EtcdEntry[]): void {
    known = new Map(entries.filter(isOurs).map(({ key, value }) => [key, value]))
    failure = undefined
    heard.resolve()
  }

  /** What is known stays. */
  function failed(error: unknown): void {
    failure = `those below ${path} in etcd cannot be read: ${messageOf(error)}`
    heard.resolve()
  }

  async function list(signal: AbortSignal): Promise<void> {
    try {
      all((await client.list(range, signal)).entries)
    } catch (error) {
      signal.throwIfAborted()
      failed(error)
    }
  }

  return {
    async read(signal) {
      await (isFollowed ? orAborted(heard.promise, signal) : list(signal))
      // Of two keys for one service the first counts, whichever was there first.
      const sorted = [...(known ?? [])].sort(([a], [b]) => compareText(a, b))
      return {
        texts: sorted.map(([key, text]) => ({ service: serviceOf(key), text, origin: `etcd's ${key}` })),
        isComplete: known !== undefined,
        ...(failure !== undefined && { trouble: failure }),
      }
    },
    follow(changed, signal) {
      isFollowed = true
      const events: Parameters<typeof mirror>[1] = {
        all({ entries }) {
          all(entries)
          changed()
        },
        changed(changes) {
          const ours = changes.filter(isOurs)
          for (const { key, entry } of ours) {
            if (entry) known?.set(key, entry.value)
            else known?.delete(key)
          }
          if (ours.length > 0) changed()
        },
        failed(error) {
          failed(error)
          changed()
        },
      }
      return mirror({ client, range, clock }, events, signal)
    },
  }
}
