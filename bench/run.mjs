// `npm run bench [-- NAMES…]`: measures what the project promises, prints one table, writes bench/results/latest.json.
// A name is that of an entry or of a group. Loopback only. `--no-build` takes dist as it is; `--list` shows the names;
// `--record` also writes bench/results/GROUP.json, and the group's chart, for every group that was measured as a whole.
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from '../scripts/build.mjs'
import { ensureConsul } from '../scripts/extra-consul.mjs'
import { ensureServers } from '../scripts/servers.mjs'
import { createCleanup } from './cleanup.mjs'
import { describeMachine, foreignLoad } from './machine.mjs'
import { formatMachine, formatTable, verdictOf } from './report.mjs'

/** In this order; each file exports `needs` (programs) and `measure(context)`, which gives rows. */
const GROUPS = {
  publishing: ['full-pass', 'one-change', 'memory', 'first-file', 'start-event', 'reloads'],
  runtime: ['new-stack', 'churn', 'held-connections', 'hostnames'],
  wake: [
    'cold-wakes',
    'crowd',
    'sleeps-under-traffic',
    'held-bodies',
    'silent-websocket',
    'waiting-page',
    'public-port-memory',
    'hostler-down',
    'idle-clock',
    'reaper-pass',
  ],
  registries: ['announced-starts', 'remote-starts', 'ten-thousand-nodes', 'crashed-agents', 'registry-restarts'],
}
const ENTRIES = Object.values(GROUPS).flat()
const RESULTS = fileURLToPath(new URL('results/', import.meta.url))

const words = process.argv.slice(2)
const names = words.filter((word) => !word.startsWith('--')).flatMap((name) => GROUPS[name] ?? [name])
const unknown = names.filter((name) => !ENTRIES.includes(name))
if (unknown.length > 0 || words.includes('--list')) {
  for (const [group, members] of Object.entries(GROUPS)) console.log(`${group}: ${members.join(' ')}`)
  process.exit(unknown.length > 0 ? 2 : 0)
}

if (!words.includes('--no-build') && build() !== 0) process.exit(1)
const cleanup = createCleanup()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => cleanup.run().then(() => process.exit(1)))

const machine = describeMachine()
const entries = []
for (const name of names.length > 0 ? names : ENTRIES) entries.push(await runEntry(name))

write(names.length === 0 ? 'latest.json' : 'latest-part.json', json(entries))
if (words.includes('--record')) await record()
console.log(`\n${formatTable(entries)}`)
console.log(`${formatMachine(machine)}, ${secondsOf(entries)} s`)
const busy = Math.max(0, ...entries.map(({ othersBefore }) => othersBefore ?? 0))
if (busy > 0.1)
  console.log(`Others used up to ${Math.round(busy * 100)} % of the processors: times are longer than they need be.`)
for (const { name, skipped, error } of entries) if (skipped ?? error) console.log(`${name}: ${skipped ?? error}`)
process.exitCode = entries.some(({ error }) => error !== undefined) ? 1 : 0

async function runEntry(name) {
  const say = (text) => process.stderr.write(`${name}: ${text}\n`)
  const { needs, measure } = await import(`./entries/${name}.mjs`)
  const missing = ensureServers(
    needs.filter((need) => need !== 'consul'),
    say,
  )
  if (needs.includes('consul') && !(await ensureConsul({ say }))) missing.push('consul')
  if (missing.length > 0) return { name, rows: [], skipped: `not on this machine: ${missing.join(', ')}` }
  const othersBefore = Number((await foreignLoad()).toFixed(2))
  const began = performance.now()
  try {
    const rows = await measure({ cleanup, say })
    for (const row of rows) row.verdict = verdictOf(row)
    return { name, seconds: Math.round((performance.now() - began) / 1000), othersBefore, rows }
  } catch (error) {
    console.error(`${name} failed:`, error)
    return { name, rows: [], error: String(error) }
  } finally {
    await cleanup.run()
  }
}

/** What is kept in the repository. */
async function record() {
  for (const [group, members] of Object.entries(GROUPS)) {
    const measured = entries.filter(({ name, rows }) => members.includes(name) && rows.length > 0)
    if (measured.length < members.length) continue
    write(`${group}.json`, json(measured))
    const chart = new URL(`charts/${group}.mjs`, import.meta.url)
    if (existsSync(chart)) write(`${group}.svg`, (await import(chart.href)).draw(measured, machine))
  }
}

function json(measured) {
  return `${JSON.stringify({ machine, seconds: secondsOf(measured), entries: measured }, null, 2)}\n`
}

function secondsOf(measured) {
  return measured.reduce((sum, { seconds = 0 }) => sum + seconds, 0)
}

function write(name, text) {
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(`${RESULTS}${name}.tmp`, text)
  renameSync(`${RESULTS}${name}.tmp`, `${RESULTS}${name}`)
}
