import { fetchState } from '../cli/fetch.js'
import { terminal } from '../cli/screen.js'
import { formatStatus } from '../cli/status.js'
import type { Settings } from '../config/schema.js'

/** `hostler status`: asks the running process over its private port. */
export async function status(
  settings: Settings,
  options: { json: boolean },
  print: (text: string) => void,
): Promise<void> {
  const state = await fetchState(settings.private.listen)
  print(options.json ? `${JSON.stringify(state, null, 2)}\n` : formatStatus(state, terminal()))
}
