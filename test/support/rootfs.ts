import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { programPath } from './machine.js'

export { endPid, programPath } from './machine.js'

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
