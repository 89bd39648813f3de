import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * `/bin/serve`: HTTP on `PORT` (80), `/` answers with the host name and a line feed. Ends at once on TERM, and lives
 * through HUP. As process 1 a shell must trap what it wants to hear.
 */
const SERVE = `#!/bin/sh
mkdir -p /www
hostname > /www/index.html
httpd -f -p "\${PORT:-80}" -h /www &
server=$!
trap 'kill $server; exit 0' TERM INT
trap 'true' HUP
while kill -0 $server 2>/dev/null; do wait $server; done
`

const APPLETS = [
  'sh',
  'httpd',
  'hostname',
  'mkdir',
  'sleep',
  'cat',
  'echo',
  'kill',
  'nc',
  'wget',
  'touch',
  'rm',
  'test',
]

/** Fills `folder` with a root file system of one static busybox, and returns it. */
export function buildRootFs(folder: string): string {
  for (const name of ['bin', 'etc', 'tmp', 'www', 'proc', 'sys', 'dev']) {
    mkdirSync(join(folder, name), { recursive: true })
  }
  copyFileSync(programPath('busybox'), join(folder, 'bin/busybox'))
  for (const applet of APPLETS) symlinkSync('busybox', join(folder, 'bin', applet))
  writeFileSync(join(folder, 'bin/serve'), SERVE, { mode: 0o755 })
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n')
  return folder
}

/** The full path of a program, system folders included. */
export function programPath(name: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
  if (!found) throw new Error(`${name} is not on this machine`)
  return found
}

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
