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
  /** Sessions since this worker began (a server: since it was added). */
  readonly total: number
  /** Now; a live WebSocket counts. */
  readonly current: number
  /** Seconds since the last one; -1 when there was none. */
  readonly lastSeconds: number
}

export interface BackendActivity extends Activity {
  readonly servers: ReadonlyMap<string, Activity>
}

/** `show stat` as CSV. Texts that may hold commas come after the last column that is read. */
export function parseStat(reply: Reply): Map<string, BackendActivity> {
  const [heading = '', ...rows] = linesOf(reply)
  const names = heading.replace(/^# /, '').split(',')
  const places = STAT_FIELDS.map((name) => names.indexOf(name))
  if (places[0] !== 0 || places.includes(-1)) throw unreadable(reply, heading)
  const backends = new Map<string, BackendActivity>()
  const servers = new Map<string, Map<string, Activity>>()
  for (const row of rows) {
    const fields = fieldsAt(row, places)
    if (fields === undefined) throw unreadable(reply, row)
    const [name = '', server, current, total, last] = fields
    const activity = { total: Number(total), current: Number(current), lastSeconds: last === '' ? -1 : Number(last) }
    if (server === 'BACKEND') backends.set(name, { ...activity, servers: serversOf(servers, name) })
    else serversOf(servers, name).set(server ?? '', activity)
  }
  return backends
}

/** Cuts out these columns (ascending) and no other: there are a hundred. Undefined: the row has not so many. */
function fieldsAt(row: string, places: readonly number[]): string[] | undefined {
  const fields: string[] = []
  let column = 0
  let start = 0
  for (const place of places) {
    for (; column < place; column++) {
      start = row.indexOf(',', start) + 1
      if (start === 0) return undefined
    }
    const end = row.indexOf(',', start)
    if (end === -1) return undefined
    fields.push(row.slice(start, end))
  }
  return fields
}

const STAT_FIELDS = ['pxname', 'svname', 'scur', 'stot', 'lastsess']

const linesOf = ({ text }: Reply) => (text.trimEnd() === '' ? [] : text.trimEnd().split('\n'))

function unreadable({ command }: Reply, line = ''): HostlerError {
  return new HostlerError(
    'HAPROXY_STATE_UNREADABLE',
    `HAProxy answered \`${command}\` with "${printable(line, 200)}", which Hostler cannot read.`,
  )
}
