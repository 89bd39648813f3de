// The HAProxy processes of one run, told apart from others by the folder of its configuration.
import { readdirSync, readFileSync } from 'node:fs'

/** @returns every master and worker, old ones too, that was started with a configuration in this folder */
export function haproxyProcesses(folder) {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const ours = all.filter((pid) => isOurs(read(`/proc/${pid}/cmdline`).split('\0'), folder)).map(Number)
  return ours.map((pid) => ({ pid, parent: parentOf(pid) }))
}

/** Pids of the workers, oldest first: they are the children of a process that is one of them too. */
export function workersOf(folder) {
  const all = haproxyProcesses(folder)
  const pids = new Set(all.map(({ pid }) => pid))
  return all.filter(({ parent }) => pids.has(parent)).map(({ pid }) => pid)
}

/**
 * Megabytes (10^6 bytes) of all of them: `resident` counts a page that two of them share twice, `proportional` once.
 */
export function haproxyMemory(folder) {
  const sums = { processes: 0, resident: 0, proportional: 0 }
  for (const { pid } of haproxyProcesses(folder)) {
    const rollup = read(`/proc/${pid}/smaps_rollup`)
    const of = (name) => (Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) * 1024) / 1e6
    sums.processes++
    sums.resident += of('Rss')
    sums.proportional += of('Pss')
  }
  return sums
}

/** `haproxy -c` only looks at the files. */
const isOurs = ([program = '', ...args], folder) =>
  /(^|\/)haproxy$/.test(program) && !args.includes('-c') && args.some((arg) => arg.startsWith(`${folder}/`))

const parentOf = (pid) => Number(read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ')[1])

/** Empty when the process is gone. */
function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
