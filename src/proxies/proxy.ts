import type { Clock } from '../lib/clock.js'
import { HostlerError } from '../lib/errors.js'
import type { Excerpt } from '../lib/excerpt.js'
import type { Logger } from '../lib/logger.js'
import type { Plan } from '../model/plan.js'
import type { RenderedFile, StagedFiles } from '../publish/files.js'

/**
 * A proxy that we configure. The reconciler calls render → (publish stages) → check → (publish renames) → apply, one
 * round at a time.
 */
export interface Proxy {
  readonly name: string
  /** The folder of its rendered files; the publisher keeps its journal there. Absolute. */
  readonly root: string
  /** The files that this plan wants. Pure but for reading templates that changed; throws when a template is broken. */
  render(plan: Plan): RenderedFile[]
  /** Does the proxy accept these staged files? Throws only when it could not be asked. */
  check(staged: StagedFiles, signal: AbortSignal): Promise<CheckResult>
  /**
   * Makes the proxy use what lies on disk, and returns only when it does, or throws (LoadRefused when the proxy would not). Called every pass: it also repairs
   * drift. Where it has to wait for its turn (reloads keep a spacing), `newer` ends the waiting with `later`: there is a
   * newer plan to publish first, and apply is called again after it.
   */
  apply(signal: AbortSignal, newer: AbortSignal): Promise<Applied>
  /**
   * What `apply` would do if this plan were published now. Changes nothing. Comes after an apply that is under way; throws
   * what `render` does.
   */
  preview(plan: Plan, signal: AbortSignal): Promise<Preview>
  /** What the templates get, for `hostler render --context`. */
  context(plan: Plan): object
  /** Files and folders beside the rendered ones whose change calls for a new round: templates, base config, certificates. */
  watched(): readonly string[]
  /**
   * Called once before the first round: gets what rendering needs and, where it supervises the proxy and files of an
   * earlier run are there, starts it on them, so that a source that is down keeps nobody waiting.
   */
  start?(signal: AbortSignal): Promise<void>
  /**
   * Traffic of every backend that the proxy has, by the plan's names; the public port's is left out. One that is missing is
   * one that it cannot tell of. @throws HostlerError when it cannot tell at all: no news is not idleness
   */
  activity?(signal: AbortSignal): Promise<readonly BackendActivity[]>
  /** Stops what it supervises, gracefully. */
  stop?(): Promise<void>
  /** Anything worth showing in `hostler status`: process ids, reloads, version. */
  describe(): Record<string, string | number | boolean>
}

export interface BackendActivity {
  readonly backend: string
  /** Requests or sessions since some start; a decrease means that counting began anew. */
  readonly total: number
  /** Which counting that is. Another one began anew, and what came between the two may be in neither. */
  readonly counting: string
  /** Open at this moment, in old workers too; a silent WebSocket counts. Undefined where the proxy cannot tell. */
  readonly current?: number
  /** How long ago the last one began, in milliseconds. Undefined where the proxy cannot tell, or knows of none. */
  readonly quietMs?: number
}

export type CheckResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly message: string; readonly culprits: readonly string[] }

/** The proxy did not load what lies on disk, and names the backends at fault where that can be told. */
export class LoadRefused extends HostlerError {
  constructor(
    message: string,
    readonly culprits: readonly string[] = [],
  ) {
    super('LOAD_REFUSED', message)
  }
}

/** `watched`: the proxy follows the file by itself. `nothing`: it already had it. `later`: it gave way to a newer plan. */
export interface Applied {
  readonly how: 'nothing' | 'start' | 'reload' | 'runtime' | 'watched' | 'later'
  readonly ms: number
  /** Why it had to be a reload, where there was a choice. */
  readonly why?: string
  /** What was done at the proxy's runtime API, in words; only where something was. */
  readonly steps?: Excerpt
}

/** What it would take to make the proxy use the newest files. */
export interface Preview {
  /** The files that the plan wants. */
  readonly files: readonly RenderedFile[]
  /** As in `Applied`; `blocked`: it would be refused. */
  readonly how: Exclude<Applied['how'], 'later'> | 'blocked'
  /** Of `runtime`, in their order. */
  readonly steps?: readonly PlannedStep[]
  /** Of `reload`, where there was a choice, and of `blocked`. */
  readonly why?: string
  /** How long until the proxy may be reloaded again; absent when it may be at once. */
  readonly waitMs?: number
}

/** One step at a proxy's runtime API. */
export interface PlannedStep {
  readonly action: 'add' | 'change' | 'remove'
  /** In words. */
  readonly text: string
}

export interface ProxyContext {
  readonly log: Logger
  readonly clock: Clock
  /**
   * `publish`: only write files; another process makes the proxy use them. `load`: only make the proxy use them; another
   * process writes them.
   */
  readonly duty: 'drive' | 'publish' | 'load'
  /** What an orchestrator's metadata can fill in, where there is one. */
  readonly metadata?: MetadataValues
}

/** Each is undefined where metadata has none; each throws a HostlerError when it cannot be asked. */
export interface MetadataValues {
  /** Address of the host that we run on. */
  agentIp(signal: AbortSignal): Promise<string | undefined>
  /** Certificate and key as one PEM text. */
  certificate(signal: AbortSignal, options: { base64: boolean }): Promise<string | undefined>
}
