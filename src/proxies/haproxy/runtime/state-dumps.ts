import { HostlerError } from '../../../lib/errors.js'
import { printable } from '../../../lib/printable.js'
import type { Reply } from './socket.js'
import type { RunningServer, WorkerKey } from './types.js'

/** Readers of what the runtime API dumps. Each throws HAPROXY_STATE_UNREADABLE when one line is not as it should be. */

export interface WorkerIdentity extends WorkerKey {
  readonly version: { readonly major: number; readonly minor: number }
  /** It has been replaced and only finishes what it has. */
  readonly stopping: boolean
}

/** `float`: the start of the worker is told in microseconds, which tells it from its predecessor. */
export const ASK_INFO = 'show info float'

/** `show info`: one `Name: value` a line. */
export function parseInfo(reply: Reply): WorkerIdentity {
  const fieldOf = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(reply.text)?.[1] ?? ''
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(fieldOf('Version')) ?? []
  const pid = Number(fieldOf('Pid'))
  if (major === undefined || !(pid > 0)) throw unreadable(reply, reply.text)
  const startedAt = Number(fieldOf('Start_time_sec')) * 1000
  return {
    version: { major: Number(major), minor: Number(minor) },
    pid,
    ...(startedAt > 0 && { startedAt }),
    stopping: fieldOf('Stopping') === '1',
  }
}

/** `show backend`: a heading, then one name a line. */
export function parseBackends(reply: Reply): Set<string> {
  const [heading, ...names] = linesOf(reply)
  if (heading !== '# name') throw unreadable(reply, heading)
  return new Set(names)
}

type Servers = Map<string, Map<string, RunningServer>>

/**
 * `show servers state` (HAProxy's management manual; format version 1). `srv_admin_state` is a bit mask, the same in 2.6 to
 * 3.4: 0x01 forced maintenance, 0x02 inherited from a tracked server, 0x04 disabled in the configuration (comes with 0x01
 * and stays when that is lifted, so that by itself it is no maintenance), 0x08 forced drain, 0x10 inherited drain,
 * 0x20 its name does not resolve, 0x40 its name was changed at run time.
 */
export function parseServersState(reply: Reply): Servers {
  const [format, heading = '', ...rows] = linesOf(reply)
  const names = heading.split(' ').slice(1)
  const [backend, server, address, admin, weight, port] = STATE_FIELDS.map((name) => names.indexOf(name))
  if (format !== '1' || backend === -1 || port === -1) throw unreadable(reply, format)
  const servers: Servers = new Map()
  for (const row of rows) {
    const fields = row.split(' ')
    const at = (index = -1) => fields[index] ?? ''
    const bits = Number(at(admin))
    if (fields.length !== names.length || Number.isNaN(bits)) throw unreadable(reply, row)
    serversOf(servers, at(backend)).set(at(server), {
      address: at(address),
      port: Number(at(port)),
      weight: Number(at(weight)),
      maintenance: (bits & MAINTENANCE) !== 0,
      drain: (bits & DRAIN) !== 0,
    })
  }
  return servers
}

const STATE_FIELDS = ['be_name', 'srv_name', 'srv_addr', 'srv_admin_state', 'srv_uweight', 'srv_port']
const MAINTENANCE = 0x23
const DRAIN = 0x18

function serversOf<T>(backends: Map<string, Map<string, T>>, name: string): Map<string, T> {
  const known = backends.get(name)
  if (known !== undefined) return known
  const made = new Map<string, T>()
  backends.set(name, made)
  return made
}

/** `show map PATH`: `ADDRESS KEY VALUE` a line, in the order in which they were added. Of equal keys the first counts. */
export function parseMap(reply: Reply): Map<string, string> {
  const entries = new Map<string, string>()
  for (const line of linesOf(reply)) {
    const [, key, value] = /^0x[0-9a-f]+ (\S+) ?(.*)$/.exec(line) ?? []
    if (key === undefined || value === undefined) throw unreadable(reply, line)
    if (!entries.has(key)) entries.set(key, value)
  }
  return entries
}

export interface MapVersions {
  /** The one in use. */
  readonly current: number
  /** The newest that was prepared. */
  readonly next: number
  /** Of all versions. */
  readonly entries: number
}

/** `show map`: `ID (PATH) … curr_ver=N next_ver=N entry_cnt=N` a line. Lines about patterns without a file are left out. */
export function parseMapVersions(reply: Reply): Map<string, MapVersions> {
  const [heading, ...lines] = linesOf(reply)
  if (!heading?.startsWith('# id (file)')) throw unreadable(reply, heading)
  const maps = new Map<string, MapVersions>()
  for (const line of lines) {
    const [, path, current, next, entries] = MAP_ROW.exec(line) ?? []
    if (path !== undefined) {
      maps.set(path, { current: Number(current), next: Number(next), entries: Number(entries) })
    }
  }
  return maps
}

const MAP_ROW = /^\d+ \((.+?)\) pattern .* curr_ver=(\d+) next_ver=(\d+) entry_cnt=(\d+)$/

/**
 * `show ssl cert`: a heading, then one path a line; nothing when there is none. Before it may stand somebody's open transaction, under a heading of its
 * own, its path after a `*`.
 */
export function parseCertificates(reply: Reply): Set<string> {
  const lines = linesOf(reply)
  if (lines.length === 0) return new Set()
  const start = lines.indexOf('# filename')
  if (start === -1 || (start > 0 && lines[0] !== '# transaction')) throw unreadable(reply, lines[0])
  return new Set(lines.slice(start + 1))
}

/** `show ssl cert PATH`: the SHA-1 of the certificate; undefined when HAProxy has none of that path. */
export function parseFingerprint(reply: Reply): string | undefined {
  if (NO_CERTIFICATE.test(reply.text)) return undefined
  const print = /^SHA1 FingerPrint: ([0-9A-F]{40})$/m.exec(reply.text)?.[1]
  // One that was made and not filled yet has a name alone.
  if (print === undefined && !/^Filename: /.test(reply.text)) throw unreadable(reply, reply.text)
  return print
}

const NO_CERTIFICATE = /^\[3\]: Can't display the certificate: Not found/

/** `show ssl crt-list -n LIST`: `PATH:LINE FILTERS` a line. Undefined when HAProxy has no such list. */
export function parseCrtList(list: string, reply: Reply): string | undefined {
  const [heading, ...lines] = linesOf(reply)
  if (heading === "[3]: didn't find the specified filename") return undefined
  if (heading !== `# ${list}` || !lines.every((line) => NUMBERED.test(line))) throw unreadable(reply, heading)
  return lines.map((line) => line.replace(NUMBERED, '$1')).join('\n')
}

const NUMBERED = /^(\S+):\d+(?= |$)/

export interface Activity {
  readonly name: string
  /** Sessions since this worker began. */
  total: number
  /** Now; a live WebSocket counts. */
  current: number
  /** Seconds since the last one; -1 when there was none. */
  lastSeconds: number
}

/**
 * `show stat` as CSV: the rows of backends. Read byte by byte, for each has a hundred columns, and texts that may hold
 * commas come after the last one that is wanted.
 * @param known what the same worker said last time: where it has the same backends, their figures are replaced and nothing is
 * made anew, which with 10,000 of them takes longer than the reading
 */
export function parseStat(reply: Reply, known?: Map<string, Activity>): Map<string, Activity> {
  const text = reply.text.trimEnd()
  const headingEnd = text.indexOf('\n') === -1 ? text.length : text.indexOf('\n')
  const columns = text.slice(0, headingEnd).replace(/^# /, '').split(',')
  const places = STAT_FIELDS.map((name) => columns.indexOf(name))
  if (places[0] !== 0 || places.includes(-1)) throw unreadable(reply, text.slice(0, headingEnd))
  // One byte for each letter: what else there may be is told apart by none of the wanted columns.
  const rows: Rows = { reply, text, bytes: Buffer.from(text, 'latin1'), from: headingEnd + 1, places }
  return known && areRefreshed(rows, known) ? known : freshActivities(rows)
}

/** Ascending, as HAProxy has them. */
const STAT_FIELDS = ['pxname', 'svname', 'scur', 'stot', 'lastsess']

interface Rows {
  readonly reply: Reply
  readonly text: string
  readonly bytes: Buffer
  /** Where the first one begins. */
  readonly from: number
  readonly places: readonly number[]
}

/** False: they are other backends, or in another order; the figures are of no use then. */
function areRefreshed(rows: Rows, known: ReadonlyMap<string, Activity>): boolean {
  const expected = known.values()
  const isSame = eachBackend(rows, (row) => {
    const activity = expected.next().value
    if (activity === undefined || activity.name.length !== row.nameEnd - row.from) return false
    if (!rows.text.startsWith(activity.name, row.from)) return false
    activity.total = row.total
    activity.current = row.current
    activity.lastSeconds = row.lastSeconds
    return true
  })
  return isSame && expected.next().done === true
}

function freshActivities(rows: Rows): Map<string, Activity> {
  const found = new Map<string, Activity>()
  eachBackend(rows, ({ from, nameEnd, total, current, lastSeconds }) => {
    // Not a slice, which would keep the whole text in memory.
    const name = rows.bytes.toString('latin1', from, nameEnd)
    found.set(name, { name, total, current, lastSeconds })
    return true
  })
  return found
}

interface Row {
  from: number
  nameEnd: number
  isBackend: boolean
  current: number
  total: number
  lastSeconds: number
}

/** @returns false when `use` has ended it */
function eachBackend(rows: Rows, use: (row: Row) => boolean): boolean {
  const { bytes } = rows
  const row: Row = { from: 0, nameEnd: 0, isBackend: false, current: 0, total: 0, lastSeconds: 0 }
  for (let from = rows.from; from < bytes.length; ) {
    const next = bytes.indexOf(NEWLINE, from)
    const end = next === -1 ? bytes.length : next
    if (!readRow(rows, from, end, row)) throw unreadable(rows.reply, rows.text.slice(from, end))
    if (row.isBackend && !use(row)) return false
    from = end + 1
  }
  return true
}

/** @returns whether the row has every field, and numbers where they belong */
function readRow({ bytes, places, text }: Rows, from: number, end: number, row: Row): boolean {
  row.from = from
  let field = 0
  let start = from
  for (let column = 0; field < places.length; column++) {
    let at = start
    while (at < end && bytes[at] !== COMMA) at++
    if (at === end) return false
    if (column === places[field]) {
      if (field === 0) row.nameEnd = at
      else if (field === 1) row.isBackend = at - start === 7 && text.startsWith('BACKEND', start)
      else if (!readNumber(bytes, start, at, field, row)) return false
      field++
    }
    start = at + 1
  }
  return true
}

function readNumber(bytes: Buffer, start: number, end: number, field: number, row: Row): boolean {
  const isNegative = bytes[start] === MINUS && end > start + 1
  let value = 0
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - ZERO
    if (digit < 0 || digit > 9) return false
    value = value * 10 + digit
  }
  if (field === 2) row.current = value
  else if (field === 3) row.total = value
  // Of a frontend there is none.
  else row.lastSeconds = isNegative || start === end ? -1 : value
  return true
}

const [NEWLINE, COMMA, MINUS, ZERO] = [10, 44, 45, 48]

const linesOf = ({ text }: Reply) => (text.trimEnd() === '' ? [] : text.trimEnd().split('\n'))

function unreadable({ command }: Reply, line = ''): HostlerError {
  return new HostlerError(
    'HAPROXY_STATE_UNREADABLE',
    `HAProxy answered \`${command}\` with "${printable(line, 200)}", which Hostler cannot read.`,
  )
}
