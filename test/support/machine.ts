import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** The full path of a program, system folders included. */
export function programPath(name: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
  if (!found) throw new Error(`${name} is not on this machine`)
  return found
}

/** What is made or fetched once for all runs on this machine lies below it. */
export const cacheFolder = (): string => join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'hostler')

/** Ends one process: asked first, forced after five seconds. */
export async function endPid(pid: number | undefined): Promise<void> {
  if (!pid || !alive(pid)) return
  process.kill(pid, 'SIGTERM')
  for (let waited = 0; waited < 5000 && alive(pid); waited += 50) await delay(50)
  if (alive(pid)) process.kill(pid, 'SIGKILL')
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A folder that nobody else has, whose number is also a /16 that nobody else has: two engines never share a subnet. */
export function claimSubnet(): { folder: string; number: number; subnet: string } {
  const routes = readFileSync('/proc/net/route', 'utf8')
  for (let attempt = 0; attempt < 500; attempt++) {
    const number = 20 + Math.floor(Math.random() * 230)
    const hexPrefix = `${number.toString(16).padStart(2, '0')}0A\t`.toUpperCase()
    if (routes.includes(hexPrefix)) continue
    const folder = join(tmpdir(), `hd${number}`)
    try {
      mkdirSync(folder, { mode: 0o700 })
      return { folder, number, subnet: `10.${number}.0.0/16` }
    } catch {}
  }
  throw new Error('no free 10.X.0.0/16 for a test engine')
}

export function unmountBelow(folder: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`))
  for (const path of mounts.reverse()) execFileSync('umount', ['-l', path])
}
