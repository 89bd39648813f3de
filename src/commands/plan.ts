import { fetchPreview } from '../cli/fetch.js'
import { formatPreview } from '../cli/plan.js'
import { terminal } from '../cli/screen.js'
import type { Settings } from '../config/schema.js'

/**
 * `hostler plan`: asks the running process over its private port.
 * @returns the exit code: 1 when something is in the way
 */
export async function plan(
  settings: Settings,
  options: { json: boolean },
  print: (text: string) => void,
): Promise<number> {
  const preview = await fetchPreview(settings.private.listen)
  print(options.json ? `${JSON.stringify(preview, null, 2)}\n` : formatPreview(preview, terminal()))
  return preview.proxies.some(({ how, error }) => how === 'blocked' || error !== undefined) ? 1 : 0
}
