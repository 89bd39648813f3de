import { HostlerError } from '../../../lib/errors.js'
import { printable } from '../../../lib/printable.js'
import type { Reply } from './socket.js'

/**
 * `done`: exactly what HAProxy says when it has done it, with what it made where that has a name. `refused`: an error of
 * HAProxy's, with its severity where it gives one (syslog's: 3 error, 4 warning). `unknown`: neither, which counts as a failure.
 */
export type Verdict =
  | { readonly outcome: 'done'; readonly made?: string }
  | { readonly outcome: 'refused'; readonly severity?: number; readonly text: string }
  | { readonly outcome: 'unknown'; readonly text: string }

export type CommandKind = keyof typeof SUCCESSES

/**
 * What a reply to this kind of command means. `subject` is the certificate's path where there is one: 2.6 answers
 * `set ssl cert B` with `Transaction updated for certificate A!`, and updates A, while a transaction about A is open.
 */
export function judge(kind: CommandKind, text: string, subject = ''): Verdict {
  const [, severity, body = text] = /^\[(\d)\]: ([\s\S]*)$/.exec(text) ?? []
  const said: Said = { text, severity: Number(severity ?? Number.NaN), lines: body.trimEnd().split('\n'), subject }
  const success: Success = SUCCESSES[kind]
  const made = success(said)
  if (made !== undefined) return made === '' ? { outcome: 'done' } : { outcome: 'done', made }
  if (said.severity <= WARNING) return { outcome: 'refused', severity: said.severity, text: body.trim() }
  if (body.startsWith('Unknown command')) return { outcome: 'refused', text: said.lines[0] ?? '' }
  // Without a severity: 3.4 says so of a certificate without its key, every version of one that it cannot install.
  if (said.lines.at(-1) === 'Failed!') return { outcome: 'refused', text: body.trim() }
  return { outcome: 'unknown', text: body.trim() }
}

/**
 * What HAProxy made ('' where it has no name), or throws HAPROXY_REFUSED with its words, or HAPROXY_REPLY_UNKNOWN.
 * The message shows the command but no payload.
 */
export function verified(kind: CommandKind, reply: Reply, subject?: string): string {
  const verdict = judge(kind, reply.text, subject)
  if (verdict.outcome === 'done') return verdict.made ?? ''
  const said = verdict.text === '' ? 'nothing' : `"${printable(verdict.text, 300)}"`
  const command = `\`${printable(reply.command, 200)}\``
  if (verdict.outcome === 'refused') throw new HostlerError('HAPROXY_REFUSED', `HAProxy refused ${command}: ${said}.`)
  throw new HostlerError(
    'HAPROXY_REPLY_UNKNOWN',
    `HAProxy answered ${command} with ${said}, which Hostler does not know.`,
  )
}

const WARNING = 4
const NOTICE = 5
const INFO = 6

interface Said {
  /** Without the prompt. */
  readonly text: string
  /** NaN where the reply has none. */
  readonly severity: number
  readonly lines: readonly string[]
  readonly subject: string
}

/** What was made, '' where it has no name; undefined when the reply is no success. */
type Success = (said: Said) => string | undefined

/** Nothing but the prompt. The severity that was asked for makes every error speak, so that nothing means success. */
const nothing: Success = ({ text }) => (text === '' ? '' : undefined)

/**
 * The last line is this, after warnings perhaps and, on 3.4, after what earlier commands left to say (`Server deleted.`
 * before `Backend deleted.`).
 */
const informs =
  (sentence: string): Success =>
  ({ severity, lines }) =>
    severity === INFO && lines.at(-1) === sentence ? '' : undefined

const notes =
  (sentence: (subject: string) => string): Success =>
  ({ severity, lines, subject }) =>
    severity === NOTICE && lines.at(-1) === sentence(subject) ? '' : undefined

/** Progress, then `Success!`: these have no severity. */
const succeeds =
  (first: (subject: string) => string): Success =>
  ({ severity, lines, subject }) =>
    Number.isNaN(severity) && lines[0]?.startsWith(first(subject)) && lines.at(-1) === 'Success!' ? '' : undefined

/** A warning, like the errors of this command: its words decide. 2.6 says something of both, 3.0 of what changed. */
const addressChanged: Success = ({ severity, lines }) => {
  const [line = '', ...more] = lines
  return severity === WARNING && more.length === 0 && ADDRESS_CHANGED.test(line) ? '' : undefined
}
const ADDRESS_CHANGED = new RegExp(
  "^(?:nothing changed|(?:IP changed from '[^']*' to '[^']*'|no need to change the addr|port changed from '[^']*' to '[^']*')" +
    "(?:, (?:no need to change the port|port changed from '[^']*' to '[^']*'))? by 'stats socket command')$",
)

const versionCreated: Success = ({ severity, lines }) =>
  severity === INFO && lines.length === 1 ? /^New version created: (\d+)$/.exec(lines[0] ?? '')?.[1] : undefined

const certificateSet: Success = ({ severity, lines: [line, ...more], subject }) => {
  const known = ['created', 'updated'].map((word) => `Transaction ${word} for certificate ${subject}!`)
  return severity === NOTICE && more.length === 0 && known.includes(line ?? '') ? '' : undefined
}

const entryDeleted: Success = ({ severity, lines: [line = '', ...more], subject }) => {
  const whole = line.startsWith(`Entry '${subject}' deleted in crtlist '`) && line.endsWith("'!")
  return severity === NOTICE && more.length === 0 && whole ? '' : undefined
}

const SUCCESSES = {
  'add-server': informs('New server registered.'),
  'enable-health': nothing,
  'enable-server': nothing,
  'set-address': addressChanged,
  'set-weight': nothing,
  'set-state': nothing,
  'del-server': informs('Server deleted.'),
  'add-map': nothing,
  'set-map': nothing,
  'del-map': nothing,
  'clear-map': nothing,
  'prepare-map': versionCreated,
  'commit-map': nothing,
  'new-cert': notes((path) => `New empty certificate store '${path}'!`),
  'set-cert': certificateSet,
  'commit-cert': succeeds((path) => `Committing ${path}`),
  'abort-cert': notes((path) => `Transaction aborted for certificate '${path}'!`),
  'del-cert': notes((path) => `Certificate '${path}' deleted!`),
  'add-crt-list': succeeds((path) => `Inserting certificate '${path}' in crt-list '`),
  'del-crt-list': entryDeleted,
  'add-backend': informs('New backend registered.'),
  'publish-backend': informs('Backend published.'),
  'unpublish-backend': informs('Backend unpublished.'),
  'del-backend': informs('Backend deleted.'),
} satisfies Record<string, Success>
