// `npm test`: gets the real servers, builds, and runs every suite. Arguments go to jest.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from './build.mjs'
import { ensureServers, SERVERS } from './servers.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const missing = ensureServers(Object.keys(SERVERS))
if (missing.length > 0 && process.env.CI === 'true') {
  process.stderr.write(`With CI=true every server must be there; missing: ${missing.join(', ')}\n`)
  process.exit(3)
}
const built = build()
if (built !== 0) process.exit(built)

const work = mkdtempSync(join(tmpdir(), 'hostler-test-'))
const report = join(work, 'report.json')
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--no-warnings',
    'node_modules/jest/bin/jest.js',
    '--json',
    `--outputFile=${report}`,
    ...process.argv.slice(2),
  ],
  {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, MISSING_SERVERS: missing.join(',') },
  },
)
let failed = 1
try {
  const results = JSON.parse(readFileSync(report, 'utf8'))
  failed = results.numFailedTests + results.numRuntimeErrorTestSuites
  const skipped = results.numPendingTests > 0 ? `, ${results.numPendingTests} skipped` : ''
  process.stdout.write(`${results.numPassedTests} passed, ${failed} failed${skipped}\n`)
} catch {
  process.stdout.write('0 passed, 1 failed\n')
}
rmSync(work, { recursive: true, force: true })
process.exit(status === 0 && failed === 0 ? 0 : 1)
