import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
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
    wrk: findProgram('wrk') === undefined ? null : 'wrk',
  }
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
