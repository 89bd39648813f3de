// Requests a second at 5,000 hostnames: our frontend against rancher-haproxy's `map_dom` over the same domain map, base
// configuration and backends. In turns, so that whatever else the machine does meets both. Once with backends that answer by
// themselves, which shows the look-up, and once with a server behind each.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from '../../scripts/servers.mjs'
import { hostOf, instancesFile } from '../fleet.mjs'
import { workersOf } from '../haproxy-processes.mjs'
import { freePort, prepare, start, ticksOf } from '../hostler.mjs'
import { predecessorFrontend } from '../predecessor.mjs'
import { untilServed } from '../requests.mjs'
import { startHaproxy, startResponder } from '../responder.mjs'
import { summarise } from '../statistics.mjs'

export const needs = ['haproxy', 'wrk']
const HOSTS = 5000
const TURNS = 3
const SECONDS = 3
const ALONE = 'answered by HAProxy itself'
const TICK_US = 10_000

export async function measure({ cleanup, say }) {
  const folder = cleanup.folder('hostnames')
  const answering = await startResponder(cleanup, folder)
  const stacks = join(folder, 'stacks.yml')
  const local = (entry) => ({ ...entry, address: '127.0.0.1', labels: { 'hostler.port': String(answering) } })
  writeFileSync(stacks, instancesFile(HOSTS, local))
  const script = join(folder, 'hosts.lua')
  writeFileSync(script, luaScript())
  const sources = { HOSTLER_SOURCES: 'file', HOSTLER_FILE: stacks }
  const rows = []
  for (const [title, overrides] of [
    [ALONE, { ...sources, HOSTLER_TEMPLATES: answeringBackends(folder) }],
    ['a server behind each', sources],
  ]) {
    const rivals = await startRivals(cleanup, join(folder, title.replaceAll(' ', '-')), overrides)
    rows.push(rowOf(title, takeTurns(rivals, script, say)))
    await rivals.stop()
  }
  return rows
}

/** Every backend answers by itself. */
function answeringBackends(folder) {
  const templates = join(folder, 'templates')
  mkdirSync(templates)
  const backend = 'backend {{name}}\n  mode http\n  http-request return status 200 content-type text/plain string ok\n'
  writeFileSync(join(templates, '_backend.hbs'), backend)
  return templates
}

async function startRivals(cleanup, folder, overrides) {
  const prepared = await prepare(folder, overrides)
  const hostler = start(cleanup, 'run', prepared)
  await hostler.applied({ since: 0 })
  const { port: ours, env } = prepared
  const theirs = await freePort()
  const frontend = join(folder, 'predecessor.cfg')
  writeFileSync(frontend, predecessorFrontend({ map: env.HAPROXY_DOMAIN_MAP, port: theirs }))
  const files = [env.HAPROXY_CONFIG, frontend, env.HAPROXY_BACKEND_CONFIG]
  const args = files.flatMap((file) => ['-f', file])
  const rival = await startHaproxy(cleanup, args, theirs, { ...env, SYSLOG_HOST: '' })
  for (const port of [ours, theirs]) await untilServed({ port, host: hostOf(HOSTS - 1) })
  const [worker] = workersOf(prepared.out)
  return {
    ours: { port: ours, pid: worker },
    theirs: { port: theirs, pid: rival.child.pid },
    stop: () => Promise.all([hostler.stop(), rival.stop()]),
  }
}

function takeTurns({ ours, theirs }, script, say) {
  return Array.from({ length: TURNS }, (_, turn) => {
    const [a, b] = [drive(script, ours), drive(script, theirs)]
    say(`turn ${turn + 1}: ours ${a.perSecond.toFixed(0)}/s, map_dom ${b.perSecond.toFixed(0)}/s`)
    return { ours: a, theirs: b }
  })
}

function rowOf(title, turns) {
  const of = (who, field) => summarise(turns.map((turn) => turn[who][field]))
  const averages = (who) => ({ perSecond: of(who, 'perSecond').p50, cpuUs: of(who, 'cpuUs').p50 })
  const [ours, baseline] = [averages('ours'), averages('theirs')]
  const ratio = summarise(turns.map((turn) => turn.ours.perSecond / turn.theirs.perSecond)).p50
  const failed = turns.reduce((sum, turn) => sum + turn.ours.failed + turn.theirs.failed, 0)
  const told = ({ perSecond, cpuUs }) => `${perSecond.toFixed(0)}/s (${cpuUs.toFixed(1)} µs of a processor each)`
  return {
    ...(title === ALONE && { id: 'hostnames' }),
    what: `requests/s at ${HOSTS} hostnames against rancher-haproxy's map_dom, ${title}`,
    unit: '×',
    figures: { ratio },
    ...{ ours, baseline },
    note: `ours ${told(ours)}, map_dom ${told(baseline)}, ${failed} failed`,
  }
}

/** A random host for every request, from texts that are made beforehand: wrk must not be what is measured. */
const luaScript = () => `
local requests = {}
init = function(args)
  math.randomseed(os.time())
  for i = 0, ${HOSTS - 1} do requests[i] = wrk.format("GET", "/", { Host = "${hostOf('" .. i .. "')}" }) end
end
request = function() return requests[math.random(0, ${HOSTS - 1})] end
done = function(summary, latency, _)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  local rate = summary.requests / summary.duration * 1e6
  io.write(string.format("RESULT %f %d %f\\n", rate, failed, latency:percentile(99) / 1000))
end
`

function drive(script, { port, pid }) {
  const before = ticksOf(pid)
  const args = ['-t1', '-c16', `-d${SECONDS}s`, '-s', script, `http://127.0.0.1:${port}/`]
  const output = execFileSync(findProgram('wrk'), args, { encoding: 'utf8' })
  const [, perSecond, failed, p99] = (/^RESULT (\S+) (\S+) (\S+)$/m.exec(output) ?? []).map(Number)
  if (perSecond === undefined) throw new Error(`wrk did not say what it measured: ${output}`)
  const cpuUs = ((ticksOf(pid) - before) * TICK_US) / (perSecond * SECONDS)
  return { perSecond, failed, p99, cpuUs }
}
