import { messageOf } from '../lib/errors.js'
import { orAborted } from '../lib/signals.js'
import type { Plan } from '../model/plan.js'
import type { PlannedStep, Preview, Proxy } from '../proxies/proxy.js'
import type { ProxyState } from './state.js'

/** What the next pass would do: served at /api/plan, printed by `hostler plan`. */
export interface StatePreview {
  readonly version: string
  readonly domain: string
  /** What keeps it from knowing better: a source that is down, say. */
  readonly problems: readonly string[]
  readonly proxies: readonly ProxyPreview[]
}

export interface ProxyPreview {
  readonly name: string
  /** As in `Applied`. `written`: only files would change. `blocked`: nothing can be done, for the reason in `why`. */
  readonly how: Preview['how'] | 'written'
  /** Of `runtime`, in their order. */
  readonly steps: readonly PlannedStep[]
  /** Why it has to be a reload, or cannot be at all. */
  readonly why?: string
  /** How long until the proxy may be reloaded again; absent when it may be at once. */
  readonly waitMs?: number
  /** Absolute paths of what would be written or removed. */
  readonly files: readonly string[]
  /** Backends that are left out, for the proxy refused them. */
  readonly refused: ProxyState['refused']
  /** Why the newest attempt failed. */
  readonly error?: string
}

interface Asked {
  readonly plan: Plan | undefined
  readonly refused?: ProxyState['refused']
  readonly error?: string | undefined
  /** Which of these files are not on disk as they are. */
  readonly differing: (files: Preview['files']) => Promise<readonly string[]>
}

/** Asks a proxy what it would do; whatever makes that impossible is its answer. */
export async function lookAhead(
  proxy: Pick<Proxy, 'name' | 'preview'>,
  { plan, refused = [], error, differing }: Asked,
  signal: AbortSignal,
): Promise<ProxyPreview> {
  const known = { name: proxy.name, steps: [], files: [], refused, ...(error !== undefined && { error }) }
  if (plan === undefined) return { ...known, how: 'blocked', why: 'no source has told yet what is running' }
  try {
    const { files: wanted, ...found } = await orAborted(proxy.preview(plan, signal), signal)
    const files = await orAborted(differing(wanted), signal)
    return { ...known, ...found, how: found.how === 'nothing' && files.length > 0 ? 'written' : found.how, files }
  } catch (cause) {
    return { ...known, how: 'blocked', why: signal.aborted ? BUSY : messageOf(cause) }
  }
}

const BUSY = 'a change has been under way all the time; ask again when it is done'
