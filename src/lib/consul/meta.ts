/** Meta of services: what one Hostler tells others through Consul, within Consul's limits. */

/** 64 keys, of which some are for others; 512 bytes each. */
const MAX_CHUNKS = 56
const MAX_VALUE = 512

const CHUNK = 'hostler-instance-'

/** Who keeps an entry: what its process is called. */
export const ANNOUNCER = 'hostler-announcer'
/** A word that each process makes up when it starts. */
export const PROCESS = 'hostler-process'
/** Which instance an entry is for, by its key there. */
export const INSTANCE = 'hostler-instance'
/** What all of an entry comes to, its checks included, for an agent does not tell those. */
export const FINGERPRINT = 'hostler-fingerprint'

/** A JSON text in pieces; undefined when it is too long. */
export function toChunks(json: string): Record<string, string> | undefined {
  const ascii = json.replace(/[^\u0020-\u007e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const count = Math.ceil(ascii.length / MAX_VALUE)
  if (count > MAX_CHUNKS) return undefined
  const pieces = Array.from({ length: count }, (_, at) => ascii.slice(at * MAX_VALUE, (at + 1) * MAX_VALUE))
  return Object.fromEntries(pieces.map((piece, at) => [`${CHUNK}${String(at).padStart(2, '0')}`, piece]))
}

/** The text that was cut in pieces; undefined when there is none. */
export function fromChunks(meta: Readonly<Record<string, string>>): string | undefined {
  const keys = Object.keys(meta).filter((key) => /^hostler-instance-\d\d$/.test(key))
  return keys.length === 0
    ? undefined
    : keys
        .sort()
        .map((key) => meta[key])
        .join('')
}

/** The service whose check tells whether a process still looks after its entries. */
export const heartbeatId = (announcer: string, cleanupId: string): string =>
  `hostler-${idWord(announcer)}-${idWord(cleanupId)}`

export const HEARTBEAT_NAME = 'hostler'

/** As predecessor 5 makes ids: lower case letters, digits and `-`. */
export const idWord = (text: string): string => text.toLowerCase().replace(/[^a-z0-9-]/g, '-')
