import { basename, dirname, resolve } from 'node:path'
import { type FSWatcher, watch } from 'chokidar'
import { createBackoff } from '../lib/backoff.js'
import type { Instance } from '../model/instance.js'
import { createFactReader } from './file/facts.js'
import { createHints } from './file/hints.js'
import { readSettledText } from './file/settled-text.js'
import type { Source, SourceContext, SourceEvents } from './source.js'

/**
 * A list of instances in a YAML or JSON file, for what neither Docker nor Rancher runs. An entry has `name` (unique),
 * `address`, and optionally `stack`, `service`, `labels`, `state`, `health`, `network` and `createdAt`. A file that
 * cannot be used as a whole is not used at all: `list` throws, and `watch` says so and keeps waiting.
 */
export function createFileSource(settings: { path: string }, { log }: SourceContext): Source {
  const path = resolve(settings.path)
  const reader = createFactReader(settings.path)

  async function list(signal: AbortSignal): Promise<readonly Instance[]> {
    const text = await readSettledText(path, signal)
    signal.throwIfAborted()
    return reader.read(text)
  }

  return { name: 'file', list, watch: (events, signal) => follow(path, list, events, signal, log) }
}

/** The retry is for what no watcher can see: a folder that does not exist yet, a file that became readable. */
async function follow(
  path: string,
  list: Source['list'],
  events: SourceEvents,
  signal: AbortSignal,
  log: SourceContext['log'],
): Promise<void> {
  const hints = createHints()
  const backoff = createBackoff({ firstMs: 250, maxMs: 5000 })
  let watcher = watchFolderOf(path, hints.give, log)
  let last: readonly Instance[] | undefined
  let broken = false

  async function round(): Promise<void> {
    const instances = await list(signal)
    if (broken || instances !== last) events.report(instances)
    if (broken) watcher = await renewed(watcher, path, hints.give, log)
    if (broken) backoff.reset()
    last = instances
    broken = false
  }

  try {
    while (!signal.aborted) {
      await round().catch((error: unknown) => {
        if (!broken && !signal.aborted) events.failed(error)
        broken = true
      })
      await hints.take(signal, broken ? backoff.next() : undefined)
    }
  } finally {
    await watcher.close()
  }
}

/** A folder that was moved away or mounted over has a new inode, which the old watcher does not follow. */
async function renewed(old: FSWatcher, path: string, changed: () => void, log: SourceContext['log']) {
  await old.close()
  return watchFolderOf(path, changed, log)
}

/**
 * The folder, because editors and config maps replace the file (or, with `..data`, a link on the way to it). Chokidar
 * drops the second of two changes within 50 ms, so its `raw` events count as well.
 */
function watchFolderOf(path: string, changed: () => void, log: SourceContext['log']): FSWatcher {
  const [folder, name] = [dirname(path), basename(path)]
  const isOurs = (seen: string) => seen === name || seen.startsWith('..')
  const watcher = watch(folder, {
    depth: 0,
    ignoreInitial: true,
    ignored: (seen) => seen !== folder && !isOurs(basename(seen)),
  })
  watcher.on('raw', (_event, seen) => {
    if (isOurs(basename(seen))) changed()
  })
  watcher.on('ready', changed).on('all', changed)
  return watcher.on('error', (error) => {
    log.warn({ err: error, path }, 'watching the instances file failed; changes are seen by the regular pass only')
  })
}
