import { fetchState } from '../cli/fetch-state.js'
import { formatStatus } from '../cli/status.js'
import type { Settings } from '../config/schema.js'

/** `hostler status`: asks the running process over its private port. */
export async function status(
  settings: Settings,
  options: { json: boolean },
  print: (text: string) => void,
): Promise<void> {
  const state = await fetchState(settings.private.listen)
  if (options.json) {
    print(`${JSON.stringify(state, null, 2)}\n`)
    return
  }
  const { isTTY, columns } = process.stdout
  const color = isTTY === true && process.env['NO_COLOR'] === undefined
  print(formatStatus(state, { color, width: isTTY ? columns : 0, now: Date.now() }))
}
