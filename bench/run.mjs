// `npm run bench [-- NAMES…]`: measures what the project promises, prints one table, writes bench/results/latest.json.
// Loopback only. `--no-build` takes dist as it is; `--list` shows the names.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from '../scripts/build.mjs'
import { ensureServers } from '../scripts/servers.mjs'
import { createCleanup } from './cleanup.mjs'
import { describeMachine, foreignLoad } from './machine.mjs'
import { formatTable, verdictOf } from './report.mjs'

/** In this order; each file exports `needs` (programs) and `measure(context)`, which gives rows. */
const ENTRIES = ['full-pass', 'one-change', 'memory', 'first-file', 'start-event', 'reloads', 'hostnames']
const RESULTS = fileURLToPath(new URL('results/', import.meta.url))

const words = process.argv.slice(2)
const names = words.filter((word) => !word.startsWith('--'))
const unknown = names.filter((name) => !ENTRIES.includes(name))
if (unknown.length > 0 || words.includes('--list')) {
  console.log(`entries: ${ENTRIES.join(' ')}`)
  process.exit(unknown.length > 0 ? 2 : 0)
}

if (!words.includes('--no-build') && build() !== 0) process.exit(1)
const cleanup = createCleanup()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => cleanup.run().then(() => process.exit(1)))

const machine = describeMachine()
const entries = []
const startedAt = performance.now()
for (const name of names.length > 0 ? names : ENTRIES) entries.push(await runEntry(name))
const seconds = Math.round((performance.now() - startedAt) / 1000)

mkdirSync(RESULTS, { recursive: true })
const path = `${RESULTS}${names.length === 0 ? 'latest' : 'latest-part'}.json`
writeFileSync(`${path}.tmp`, `${JSON.stringify({ machine, seconds, entries }, null, 2)}\n`)
renameSync(`${path}.tmp`, path)
const { cpu, cores, memoryMiB, node, haproxy, docker, commit } = machine
console.log(`\n${formatTable(entries)}`)
console.log(`${cores} × ${cpu}, ${memoryMiB} MiB, node ${node}, ${haproxy}, ${docker}, commit ${commit}, ${seconds} s`)
const busy = Math.max(0, ...entries.map(({ othersBefore }) => othersBefore ?? 0))
if (busy > 0.1)
  console.log(`Others used up to ${Math.round(busy * 100)} % of the processors: times are longer than they need be.`)
for (const { name, skipped, error } of entries) if (skipped ?? error) console.log(`${name}: ${skipped ?? error}`)
process.exitCode = entries.some(({ error }) => error !== undefined) ? 1 : 0

async function runEntry(name) {
  const say = (text) => process.stderr.write(`${name}: ${text}\n`)
  const { needs, measure } = await import(`./entries/${name}.mjs`)
  const missing = ensureServers(needs, say)
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
