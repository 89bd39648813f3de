// `npm test`: gets the real servers, builds, and runs every suite. Arguments go to jest.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { ensureConsul } from './extra-consul.mjs'
import { ensureExtraHaproxys } from './extra-haproxys.mjs'
import { ensureServers, SERVERS } from './servers.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const missing = ensureServers(Object.keys(SERVERS))
const consul = await ensureConsul()
if (consul === undefined) missing.push('consul')
if (missing.length > 0 && process.env.CI === 'true') {
  process.stderr.write(`With CI=true every server must be there; missing: ${missing.join(', ')}\n`)
  process.exit(3)
}
const extras = await ensureExtraHaproxys()
const built = build()
if (built !== 0) process.exit(built)

const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    'node_modules/jest/bin/jest.js',
    ...process.argv.slice(2),
    '--reporters=default',
    '--reporters=./scripts/jest-closing-line.mjs',
  ],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: testEnvironment() },
)
process.exit(status ?? 1)

function testEnvironment() {
  const bins = [process.env.HAPROXY_BINS, ...extras.bins].filter(Boolean).join(':')
  const lacking = { MISSING_SERVERS: missing.join(','), MISSING_HAPROXYS: extras.missing.join(',') }
  return { ...process.env, HAPROXY_BINS: bins, CONSUL_BIN: consul ?? '', ...lacking }
}
