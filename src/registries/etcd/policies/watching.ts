import { watch } from 'chokidar'

/** Files, and folders down to so many levels below them (undefined: all). */
export interface Watched {
  readonly paths: readonly string[]
  readonly depth?: number | undefined
}

/** Calls `changed` with each path where something has, until aborted; without a path, anything may have. */
export async function watchPaths(
  { paths, depth }: Watched,
  changed: (path?: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if (paths.length === 0 || signal.aborted) return
  const watcher = watch([...paths], {
    ignoreInitial: true,
    awaitWriteFinish: { stabilityThreshold: 50, pollInterval: 20 },
    ...(depth !== undefined && { depth }),
  })
  watcher.on('all', (_event, path) => changed(path))
  // Of what came before it was ready there is no event.
  watcher.on('ready', () => changed())
  watcher.on('error', () => changed())
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await watcher.close()
}
