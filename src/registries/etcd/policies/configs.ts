import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { watch } from 'chokidar'
import type { Clock } from '../../../lib/clock.js'
import { codeOf } from '../../../lib/errors.js'
import type { EtcdClient } from '../../../lib/etcd/client.js'
import { prefixRange } from '../../../lib/etcd/keys.js'
import { mirror } from '../../../lib/etcd/mirror.js'
import type { ConfigText } from './services.js'

/** The configurations of one policy, wherever they come from; undefined while it is not known which there are. */
export type ReadConfigs = () => readonly ConfigText[] | undefined

/** `POLICY.json`, and `POLICY/NAME.json` for several. Undefined: the folder cannot be read. */
export function configsInFolder(folder: string, policy: string): ConfigText[] | undefined {
  if (folder === '') return []
  try {
    const names = readdirSync(folder)
    const single = names.includes(`${policy}.json`) ? [textAt('', join(folder, `${policy}.json`))] : []
    const several = names.includes(policy) ? readdirSync(join(folder, policy)) : []
    const named = several
      .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
      .sort()
      .map((name) => textAt(name.slice(0, -'.json'.length), join(folder, policy, name)))
    return [...single, ...named]
  } catch (error) {
    // Between listing and reading a file may have gone; its event leads here again.
    return codeOf(error) === 'ENOTDIR' ? [] : undefined
  }
}

const textAt = (service: string, path: string): ConfigText => ({
  service,
  origin: path,
  text: readFileSync(path, 'utf8'),
})

/** Calls `changed` when something in the folder has, until aborted. */
export async function watchFolder(folder: string, changed: () => void, signal: AbortSignal): Promise<void> {
  if (folder === '' || signal.aborted) return
  const watcher = watch(folder, {
    depth: 1,
    ignoreInitial: true,
    awaitWriteFinish: { stabilityThreshold: 50, pollInterval: 20 },
  })
  watcher.on('all', changed)
  watcher.on('error', changed)
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await watcher.close()
}

/** `PATH/NAME` for every service, and `PATH` itself for a single one. */
export function configsInEtcd(path: string, client: EtcdClient, clock: Clock) {
  let known: Map<string, string> | undefined
  const serviceOf = (key: string) => key.slice(path.length + 1)
  const isOurs = (key: string) => key === path || key.startsWith(`${path}/`)
  return {
    texts: (): ConfigText[] | undefined =>
      known && [...known].map(([key, text]) => ({ service: serviceOf(key), text, origin: `etcd's ${key}` })),
    follow: (changed: () => void, signal: AbortSignal) =>
      mirror(
        { client, range: prefixRange(path), clock },
        {
          all({ entries }) {
            known = new Map(entries.filter(({ key }) => isOurs(key)).map(({ key, value }) => [key, value]))
            changed()
          },
          changed(changes) {
            const ours = changes.filter(({ key }) => isOurs(key))
            for (const { key, entry } of ours) {
              if (entry) known?.set(key, entry.value)
              else known?.delete(key)
            }
            if (ours.length > 0) changed()
          },
          // What is known stays.
          failed: () => undefined,
        },
        signal,
      ),
  }
}
