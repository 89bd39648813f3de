/**
 * The words that the parts of a change without reload share: what HAProxy has now (`Running`), what moves it to what the
 * files say (`Step`), and the verdict that it cannot be moved (`ChangePlan` with a reason to reload).
 */

/** Which worker answered: another one next time means that somebody reloaded in between. */
export interface WorkerKey {
  readonly pid: number
  /**
   * Milliseconds since the epoch, taken before it read its configuration; undefined where HAProxy does not tell. In a
   * container the same process id comes again with every restart.
   */
  readonly startedAt?: number
}

export const isSameWorker = (a: WorkerKey, b: WorkerKey): boolean =>
  a.pid === b.pid && (a.startedAt === undefined || b.startedAt === undefined || a.startedAt === b.startedAt)

/** What the running worker answered, read in one go. */
export interface Running extends WorkerKey {
  readonly version: { readonly major: number; readonly minor: number }
  /** Every backend that it knows, those without servers too. */
  readonly backends: ReadonlySet<string>
  /** Backend → server → what it is now. */
  readonly servers: ReadonlyMap<string, ReadonlyMap<string, RunningServer>>
  /** Path as the configuration writes it → key → value, for the maps that were asked about. */
  readonly maps: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Undefined when nobody asked about them. */
  readonly certificates?: RunningCertificates
}

export interface RunningCertificates {
  /** Paths of all that are in memory, served or not. */
  readonly known: ReadonlySet<string>
  /** Path → SHA-1 of the certificate, in hexadecimal capitals, of those that were asked about. */
  readonly prints: ReadonlyMap<string, string>
  /** crt-list → its lines in their order, as a file would hold them. One that HAProxy does not know is missing. */
  readonly lists: ReadonlyMap<string, string>
}

export interface RunningServer {
  readonly address: string
  readonly port: number
  /** 0 to 256, the one in force. */
  readonly weight: number
  /** From `srv_admin_state`: put into maintenance or drain by whoever. */
  readonly maintenance: boolean
  readonly drain: boolean
}

/** One thing to do at HAProxy's runtime API. Executed in order; after one that fails nothing more is tried. */
export type Step =
  | {
      readonly kind: 'add-server'
      readonly backend: string
      readonly server: string
      readonly address: string
      readonly port: number
      /** The rest of the rendered `server` line, as HAProxy's `add server` takes it. */
      readonly options: readonly string[]
    }
  | {
      readonly kind: 'set-address'
      readonly backend: string
      readonly server: string
      readonly address: string
      readonly port: number
    }
  | { readonly kind: 'set-weight'; readonly backend: string; readonly server: string; readonly weight: number }
  /** Undoes a maintenance or drain that no file asks for. */
  | { readonly kind: 'set-ready'; readonly backend: string; readonly server: string }
  /** No new requests at once; deleted when its last connection is gone, while other steps go on. */
  | { readonly kind: 'remove-server'; readonly backend: string; readonly server: string }
  /** HAProxy 3.4 and later. */
  | { readonly kind: 'add-backend'; readonly backend: string; readonly defaults: string }
  | { readonly kind: 'remove-backend'; readonly backend: string }
  | { readonly kind: 'add-map-entry'; readonly map: string; readonly key: string; readonly value: string }
  | { readonly kind: 'set-map-entry'; readonly map: string; readonly key: string; readonly value: string }
  | { readonly kind: 'remove-map-entry'; readonly map: string; readonly key: string }
  /** Swapped in one instant. */
  | { readonly kind: 'replace-map'; readonly map: string; readonly entries: ReadonlyMap<string, string> }
  /** The file at `path` has new content. */
  | { readonly kind: 'set-certificate'; readonly path: string; readonly pem: string }
  | {
      readonly kind: 'add-certificate'
      readonly path: string
      readonly pem: string
      /** The crt-list that names it, and the SNI filters of each of its lines there (empty: by the names in it). */
      readonly list: string
      readonly lines: readonly (readonly string[])[]
      /** HAProxy has one of this path in memory that no list names. */
      readonly known?: boolean
    }
  | { readonly kind: 'remove-certificate'; readonly path: string; readonly list: string }

/** Either steps (none: HAProxy has what the files say) or the reason why only a reload gives the same result. */
export type ChangePlan = { readonly steps: readonly Step[] } | { readonly reload: string }

/** The text of every file that HAProxy reads when it loads: path → content. */
export type ConfigImage = ReadonlyMap<string, string>
