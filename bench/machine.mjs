import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { findProgram, versionOf } from '../scripts/servers.mjs'

/** What the figures depend on. */
export function describeMachine() {
  const version = (name, ...args) => {
    const program = findProgram(name)
    return program === undefined ? null : (versionOf(program, ...args) ?? null)
  }
  return {
    date: new Date().toISOString(),
    commit: commit(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    node: process.version,
    haproxy: version('haproxy', '-v'),
    docker: version('dockerd', '--version'),
  }
}

/** The share of the processors that somebody else uses, looked at for a moment: 0 on a machine of one's own. */
export async function foreignLoad() {
  const times = () => cpus().map(({ times }) => times)
  const total = (all, field) =>
    all.reduce((sum, one) => sum + (field ? one[field] : Object.values(one).reduce((a, b) => a + b)), 0)
  const before = times()
  await delay(1000)
  const after = times()
  const idle = total(after, 'idle') - total(before, 'idle')
  return Math.max(0, 1 - idle / (total(after) - total(before)))
}

function commit() {
  try {
    const git = (...args) => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    const changed = git('status', '--porcelain', '--', 'src', 'templates', 'haproxy') !== ''
    return `${git('rev-parse', '--short=12', 'HEAD')}${changed ? ' with changes' : ''}`
  } catch {
    return null
  }
}
